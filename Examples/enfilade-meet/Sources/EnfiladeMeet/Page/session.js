// One person's stay in a room: a peer connection, kept alive, and the list of everybody with their media.

import { Encryption } from './e2ee.js';
import { encodingsFor, offerDependencyDescriptor, offerOnly, offerUseful, sendOnly } from './publishing.js';
import { Signaling, SignalingError } from './signaling.js';

const statsInterval = 1000;
const messagesKept = 100;
/** How long a broken path may mend itself before ICE is restarted. */
const disconnectedGrace = 2000;
/** After so many ICE restarts in a row that changed nothing, everything is built anew. */
const restartLimit = 4;
/** How long sizes of tiles settle before the server is told. */
const wishDelay = 120;
/** With more others than this there is a place for each picture that is seen and for each of the loudest voices, and the room fills them. */
const smallRoom = 9;
const voicePlaces = 3;
/** What there is room for before anything was laid out. */
const placeAtFirst = { width: 320, height: 180 };
/** A picture that has a place only because another of the same person is seen. */
const leastPlace = { width: 160, height: 90, framesPerSecond: 15 };
const mostPlaces = 60;
/** Text has to be read; it moves little. */
const screenBitrate = 2_500_000;
const backoff = (attempt) => Math.min(500 * 2 ** attempt, 8000);
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/**
 * Events: `change` (people, media or state; several at once are told as one), `silenced` (the browser will not play sound before the person
 * touches the page).
 *
 * `state` is `joining`, `waiting` (in front of the door), `live`, `reconnecting` or `left`; `farewell` then says why, if it was not asked for.
 */
export class Session extends EventTarget {
  state = 'joining';
  problem = null;
  farewell = null;
  /** The invitation of a host, once one has become one. */
  invite = null;
  rules = null;
  /** Who waits in front of the door, for who may decide about them: `{ id, name }`. */
  knockers = [];
  /** What was written: `{ from, name, text, at }`. */
  messages = [];
  isRecorded = false;
  speaker = null;
  /** Milliseconds of `performance.now()`: when what happened. */
  timeline = { asked: 0, joined: 0, answered: 0, connected: 0, firstPicture: {} };

  #room;
  #who;
  #encryption;
  #waiting = null;
  #devices;
  #publishing;
  #id = null;
  #signaling = null;
  #connection = null;
  #senders = { audio: null, video: null, screen: null };
  /** The m-lines that are sent, with what they show. */
  #purposes = new Map();
  /** Everybody in the room, by id, in the order of joining. */
  #people = new Map();
  /** Which publication comes in on which m-line: mid to publication or null. */
  #slots = new Map();
  /** What the answer said about an m-line: mid to the publishing participant's id. */
  #streams = new Map();
  /** How many more receivers the server wished for and has not got. */
  #wanted = { audio: 0, video: 0 };
  #flow = new Map();
  /** Which of the own encodings anybody watches: mid to RIDs. */
  #encodings = new Map();
  /** What the server gives each of the own m-lines, and why it is not more: mid to allocation. */
  #allocations = new Map();
  #settings = Promise.resolve();
  /** How large the others' pictures are shown: id to `{ width, height }` in pixels of the screen, or null for not at all. */
  #sizes = new Map();
  #wishTimer = null;
  #toldWish = '';
  /** Whether the room is larger than the screen; it stays so until joining again. */
  #isStaged = false;
  /** How many places there are then. */
  #places = { audio: voicePlaces, video: smallRoom };
  /** Whether all are heard as one sound, and no picture comes. */
  #listensOnly;
  #audioSinks = new Map();
  #negotiations = Promise.resolve();
  #queued = null;
  #restartWanted = false;
  #restarts = 0;
  #recovery = null;
  #statsTimer = null;
  #changeQueued = false;
  #entering = null;

  /**
   * `who` is `{ name, invite, device }`, `publishing` a wish as `publishingWish` gives it, `key` that of the link, if it has one, and
   * `listensOnly` whether to hear all as one sound from the start.
   */
  constructor(room, who, devices, publishing, key = null, listensOnly = false) {
    super();
    this.#listensOnly = listensOnly;
    this.#room = room;
    this.#who = who;
    this.#encryption = key ? new Encryption(key) : null;
    this.#encryption?.addEventListener('change', () => this.#changed());
    this.#devices = devices;
    this.#publishing = publishing;
    this.#devices.addEventListener('change', this.#devicesChanged);
    addEventListener('online', this.#online);
  }

  /** The person's own id, as in the list of people; it changes when joining again. */
  get id() {
    return this.#id;
  }

  /** Joins the room. Throws a `SignalingError` if that is refused. */
  async join() {
    this.timeline.asked = performance.now();
    await this.#enter();
  }

  leave() {
    this.#waiting?.abort();
    this.#setState('left');
    this.#encryption?.close();
    this.#devices.removeEventListener('change', this.#devicesChanged);
    removeEventListener('online', this.#online);
    const signaling = this.#signaling;
    this.#tearDown();
    signaling?.leave();
  }

  /** Tells the server good-bye when the page goes away, without giving up here: the page may come back from the browser's cache. */
  leaveQuietly() {
    this.#signaling?.leave();
  }

  /** Joins again from nothing, after having been away. */
  comeBack() {
    this.#reenter();
  }

  /**
   * Everybody with what there is to show of them:
   * `{ id, name, isSelf, role, microphone, camera, connection, hasVideo, videoTrack, videoFlow, hasAudio, audioLevel }`.
   */
  get people() {
    const received = this.#received();
    const mixedLevel = this.#listensOnly ? this.#mixedLevel() : 0;
    return [...this.#people.values()].map((person) => {
      const media = received.get(person.id) ?? {};
      return {
        id: person.id,
        name: person.name,
        role: person.role,
        isSelf: person.id === this.id,
        microphone: person.microphone,
        camera: person.camera,
        connection: person.connection,
        hasVideo: person.publications.some((publication) => publication.purpose === 'camera'),
        hasAudio: person.publications.some((publication) => publication.kind === 'audio'),
        hasScreen: person.publications.some((publication) => publication.purpose === 'screen'),
        screenTrack: media.screen?.receiver.track ?? null,
        screenFlow: media.screen ? this.#flow.get(media.screen.mid) ?? null : null,
        videoReason: reasonOf(this.#allocations.get(media.video?.mid)),
        screenReason: reasonOf(this.#allocations.get(media.screen?.mid)),
        isMutedByHost: person.publications.some((publication) => publication.kind === 'audio' && publication.muted),
        isPictureStopped: person.publications.some((publication) => publication.purpose === 'camera' && publication.muted),
        isPausedForBandwidth: this.#allocations.get(media.video?.mid)?.reason === 'paused',
        moderates: person.moderates,
        hand: person.hand,
        videoTrack: media.video?.receiver.track ?? null,
        videoFlow: media.video ? this.#flow.get(media.video.mid) ?? null : null,
        // In one sound of all, the server says whose voice it is.
        audioLevel: media.audio ? levelOf(media.audio.receiver) : person.id === this.speaker ? mixedLevel : 0,
      };
    });
  }

  /** Notes that a picture of this person is on the screen. */
  notePicture(id) {
    if (id in this.timeline.firstPicture) return;
    this.timeline.firstPicture[id] = performance.now();
  }

  /** What comes in from each of the others, straight from the browser's statistics. For tests and for the curious. */
  async stats() {
    if (!this.#connection) return [];
    const report = await this.#connection.getStats();
    const inbound = [...report.values()].filter((stat) => stat.type === 'inbound-rtp');
    const received = this.#received();
    return [...this.#people.values()].filter((person) => person.id !== this.id).map((person) => {
      const of = (kind) => {
        const transceiver = received.get(person.id)?.[kind];
        return transceiver ? inbound.find((stat) => belongs(stat, transceiver)) ?? null : null;
      };
      return { id: person.id, name: person.name, video: of('video'), audio: of('audio') };
    });
  }

  get peerConnection() {
    return this.#connection;
  }

  // MARK: Entering

  async #enter() {
    this.#waiting = new AbortController();
    const signaling = await Signaling.join(this.#room, { ...this.#who, invite: this.invite ?? this.#who.invite }, {
      onWaiting: () => this.#setState('waiting'), signal: this.#waiting.signal,
    });
    if (this.state === 'left') return signaling.leave();
    if (this.state === 'waiting') this.#setState('joining');
    this.invite = signaling.invite ?? this.invite;
    this.#signaling = signaling;
    this.timeline.joined = performance.now();
    signaling.addEventListener('signal', (event) => this.#take(event.detail));
    signaling.addEventListener('lost', () => this.#changed());
    signaling.addEventListener('found', () => this.#changed());
    signaling.addEventListener('gone', (event) => this.#signaling === signaling && this.#gone(event.detail));

    const connection = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
    this.#connection = connection;
    connection.addEventListener('connectionstatechange', () => this.#connection === connection && this.#connectionChanged());
    connection.addEventListener('track', (event) => this.#connection === connection && this.#trackCame(event));

    for (const kind of ['audio', 'video', 'screen']) this.#attach(kind);
    await this.#prepareStage(signaling);
    if (this.#connection !== connection) return;
    // An offer without any m-line would not even connect.
    if (connection.getTransceivers().length === 0) this.#addReceivers({ audio: 1, video: 1 });

    signaling.listen();
    this.#tellDevices();
    this.#statsTimer = setInterval(() => this.#measure(), statsInterval);
    await this.#negotiate();
  }

  /** Makes room for who is there already: for everybody, or in a large room for as many as there are places. */
  async #prepareStage(signaling) {
    const { audio, video } = signaling.receivers;
    this.#isStaged = Math.max(audio, video) > smallRoom;
    if (this.#listensOnly) {
      try {
        await this.#askForMixture(signaling);
        return this.#addReceivers({ audio: 1, video: 0 });
      } catch (error) {
        if (error.status === 0 || error.isGone) throw error;
        this.#listensOnly = false;
        this.dispatchEvent(new CustomEvent('refused', { detail: `You see and hear each by itself. ${error.message}` }));
      }
    }
    if (!this.#isStaged) return this.#addReceivers({ audio, video });
    const places = { audio: Math.min(audio, voicePlaces), video: Math.min(video, smallRoom) };
    // Before the offer, or everybody would be shown there is a line for.
    await signaling.setStage({ pictures: [{ ...placeAtFirst, count: Math.max(1, places.video) }], voices: voicePlaces });
    this.#addReceivers(places);
  }

  /** The server says that we are not in the room any more. */
  #gone(reason) {
    if (['removed', 'replaced', 'room closed', 'room expired', 'host left'].includes(reason)) this.#end(reason);
    else this.#reenter();
  }

  #end(farewell) {
    this.farewell = farewell;
    this.leave();
    this.dispatchEvent(new Event('ended'));
  }

  /** Throws everything away and joins again, for as long as it takes. */
  #reenter() {
    if (this.state === 'left' || this.#entering) return;
    this.#setState('reconnecting');
    this.#entering = (async () => {
      for (let attempt = 0; this.state !== 'left'; attempt += 1) {
        this.#tearDown();
        if (attempt > 0) await pause(backoff(attempt));
        try {
          await this.#enter();
          return;
        } catch (error) {
          if (this.state === 'left') return;
          if (error.isFinal) return this.#end(error.message);
          this.problem = error.message;
          this.#changed();
        }
      }
    })().finally(() => {
      this.#entering = null;
    });
  }

  #tearDown() {
    clearInterval(this.#statsTimer);
    clearTimeout(this.#recovery);
    this.#recovery = null;
    clearTimeout(this.#wishTimer);
    this.#wishTimer = null;
    this.#toldWish = '';
    this.#isStaged = false;
    this.#encodings.clear();
    this.#allocations.clear();
    this.#settings = Promise.resolve();
    this.timeline.answered = 0;
    this.#restarts = 0;
    this.#restartWanted = false;
    this.#queued = null;
    this.#negotiations = Promise.resolve();
    this.#signaling?.close();
    this.#signaling = null;
    this.#connection?.close();
    this.#connection = null;
    this.#senders = { audio: null, video: null, screen: null };
    this.#purposes.clear();
    for (const sink of this.#audioSinks.values()) sink.srcObject = null;
    this.#audioSinks.clear();
    this.#slots.clear();
    this.#streams.clear();
    this.#wanted = { audio: 0, video: 0 };
    this.#flow.clear();
    // The people stay on the screen until the next snapshot says who is there now.
    this.#changed();
  }

  // MARK: Negotiating

  /** Offers, one exchange after another. Wishes that come while an exchange waits for its turn are served by that one. */
  #negotiate({ restartICE = false } = {}) {
    this.#restartWanted ||= restartICE;
    if (!this.#queued) {
      const exchange = this.#negotiations.then(() => {
        this.#queued = null;
        return this.#exchange();
      });
      this.#queued = exchange;
      this.#negotiations = exchange.catch(() => {});
    }
    return this.#queued;
  }

  /** The same, where nobody waits for it: a failure leads to the next try. */
  #renegotiate(options) {
    const connection = this.#connection;
    this.#negotiate(options).catch((error) => {
      if (this.#connection !== connection || this.state === 'left') return;
      if (error instanceof SignalingError && error.isGone) this.#reenter();
      else this.#recoverSoon();
    });
  }

  async #exchange() {
    const connection = this.#connection;
    const signaling = this.#signaling;
    if (!connection || !signaling) return;
    const iceRestart = this.#restartWanted;
    this.#restartWanted = false;
    try {
      await connection.setLocalDescription(await connection.createOffer({ iceRestart }));
      const answer = await signaling.offer(connection.localDescription.sdp, this.#sections());
      if (this.#connection !== connection) return;
      await connection.setRemoteDescription({ type: 'answer', sdp: answer });
    } catch (error) {
      this.#restartWanted ||= iceRestart;
      if (connection.signalingState === 'have-local-offer') await connection.setLocalDescription({ type: 'rollback' }).catch(() => {});
      throw error;
    }
    this.timeline.answered ||= performance.now();
    this.#changed();
  }

  /** What the server should know of the own m-lines. */
  #sections() {
    const sections = {};
    for (const [transceiver, purpose] of this.#purposes) {
      if (transceiver.mid !== null) sections[transceiver.mid] = { purpose, encrypted: this.#encryption !== null };
    }
    return sections;
  }

  #addReceivers({ audio, video }) {
    for (let count = 0; count < audio; count += 1) {
      const transceiver = this.#connection.addTransceiver('audio', { direction: 'recvonly' });
      this.#encryption?.open(transceiver.receiver, 'audio');
    }
    for (let count = 0; count < video; count += 1) {
      const transceiver = this.#connection.addTransceiver('video', { direction: 'recvonly' });
      offerUseful(transceiver);
      offerDependencyDescriptor(transceiver);
      this.#encryption?.open(transceiver.receiver, 'video');
    }
  }

  // MARK: Own media

  /** Gives a track to the connection. The m-line appears with the first track and stays; turning off only takes the track out. */
  #attach(kind) {
    const track = this.#devices[kind].track;
    const sender = this.#senders[kind];
    if (sender) {
      sender.replaceTrack(track).catch(() => {});
      if (kind !== 'screen') return false;
      // A screen that is not shown any more is not published any more.
      const transceiver = this.#connection.getTransceivers().find((candidate) => candidate.sender === sender);
      const direction = track ? 'sendonly' : 'inactive';
      if (!transceiver || transceiver.direction === direction) return false;
      transceiver.direction = direction;
      return true;
    }
    if (!track) return false;
    const encodings = { audio: undefined, video: encodingsFor(this.#publishing, track), screen: [{ maxBitrate: screenBitrate }] }[kind];
    const transceiver = this.#connection.addTransceiver(track, {
      direction: 'sendonly', streams: [new MediaStream([track])], ...(encodings && { sendEncodings: encodings }),
    });
    if (kind === 'video') offerOnly(transceiver, this.#publishing.codec);
    if (kind === 'screen') offerOnly(transceiver, 'VP8');
    this.#encryption?.protect(transceiver.sender, kind === 'audio' ? 'audio' : 'video');
    this.#purposes.set(transceiver, { audio: 'microphone', video: 'camera', screen: 'screen' }[kind]);
    this.#senders[kind] = transceiver.sender;
    return true;
  }

  /** Pauses the encodings that nobody watches, and resumes those that somebody does. */
  #applyEncodings() {
    const connection = this.#connection;
    this.#settings = this.#settings.then(async () => {
      for (const { mid, sender } of connection?.getTransceivers() ?? []) {
        const rids = this.#encodings.get(mid);
        if (rids && this.#connection === connection) await sendOnly(sender, rids);
      }
    }).catch((error) => {
      // All go on being sent, which costs the uplink and nothing else.
      console.warn('The encodings could not be changed.', error);
    });
  }

  // MARK: What is wanted of the others

  /**
   * Tells how large the others' pictures are shown, so that no more is sent than can be seen.
   *
   * `sizes`: id, or `id:screen`, to `{ width, height }` in pixels of the screen, or null for what is not shown.
   */
  showSizes(sizes) {
    this.#sizes = sizes;
    this.#wishTimer ??= setTimeout(() => {
      this.#wishTimer = null;
      this.#tellWish();
    }, wishDelay);
  }

  #tellWish() {
    const signaling = this.#signaling;
    // Before the first answer there is nothing to constrain.
    if (!signaling || !this.timeline.answered || this.#listensOnly) return;
    const wish = this.#isStaged ? this.#stageWish() : this.#constraintWish();
    const text = JSON.stringify(wish);
    if (text === this.#toldWish) return;
    this.#toldWish = text;
    const told = this.#isStaged ? signaling.setStage(wish) : signaling.setConstraints(wish);
    told.catch((error) => {
      if (this.#toldWish === text) this.#toldWish = '';
      console.warn('The sizes of the pictures could not be told.', error);
    });
  }

  /** A size for each m-line. */
  #constraintWish() {
    const constraints = [];
    for (const [id, { video, screen }] of this.#received()) {
      for (const [transceiver, key] of [[video, id], [screen, `${id}:screen`]]) {
        if (!transceiver || !this.#sizes.has(key)) continue;
        constraints.push({ mid: transceiver.mid, ...(this.#sizes.get(key) ?? { paused: true }) });
      }
    }
    return constraints;
  }

  /** A place for each picture that is seen, the large ones first. The room fills the places in the order of who is pinned, screens before faces. */
  #stageWish() {
    const seen = [];
    for (const person of this.#people.values()) {
      const published = (purpose) => person.publications.some((publication) => publication.purpose === purpose);
      const screen = published('screen') ? this.#sizes.get(`${person.id}:screen`) ?? null : undefined;
      const camera = published('camera') ? this.#sizes.get(person.id) ?? null : undefined;
      const sizes = [screen, camera].filter((size) => size !== undefined);
      const area = Math.max(0, ...sizes.map((size) => (size ? size.width * size.height : 0)));
      if (person.id !== this.id && area > 0) seen.push({ id: person.id, area, sizes: sizes.map((size) => size ?? leastPlace) });
    }
    seen.sort((one, other) => other.area - one.area);
    const pictures = [];
    const sizes = seen.flatMap((person) => person.sizes).slice(0, mostPlaces);
    this.#places.video = sizes.length;
    for (const size of sizes) {
      const last = pictures.at(-1);
      const isSame = last && ['width', 'height', 'framesPerSecond', 'priority'].every((key) => last[key] === size[key]);
      if (isSame) last.count += 1;
      else pictures.push({ ...size, count: 1 });
    }
    return { pictures, voices: voicePlaces, pinned: seen.map(({ id }) => id).slice(0, mostPlaces) };
  }

  /** Whether all are heard as one sound, and no picture comes. */
  get listensOnly() {
    return this.#listensOnly;
  }

  /** Changes that while in the meeting. Throws a `SignalingError` if it is refused; then everything is as it was. */
  async setListensOnly(listensOnly) {
    const signaling = this.#signaling;
    if (!signaling || listensOnly === this.#listensOnly) return;
    // From here on no size of a picture is told.
    this.#listensOnly = listensOnly;
    try {
      if (listensOnly) {
        await this.#askForMixture(signaling);
      } else {
        await signaling.setAudio('forwarded');
        if (!this.#isStaged) await signaling.clearStage();
      }
    } catch (error) {
      if (this.#signaling === signaling) this.#listensOnly = !listensOnly;
      throw error;
    } finally {
      this.#toldWish = '';
      if (this.#signaling === signaling) this.#tellWish();
      this.#changed();
    }
  }

  /** One sound, and no place for a picture. */
  async #askForMixture(signaling) {
    if (this.isEncrypted) throw new SignalingError(409, 'This meeting is encrypted from end to end, and what the server cannot hear it cannot mix.');
    await signaling.setAudio('mixed');
    try {
      await signaling.setStage({ pictures: [], voices: 1 });
    } catch (error) {
      await signaling.setAudio('forwarded').catch(() => {});
      throw error;
    }
  }

  /** How loud the one sound is. */
  #mixedLevel() {
    const transceivers = this.#connection?.getTransceivers() ?? [];
    return Math.max(0, ...transceivers.filter(({ receiver }) => receiver.track.kind === 'audio').map(({ receiver }) => levelOf(receiver)));
  }

  #devicesChanged = () => {
    if (!this.#connection) return;
    const isNew = ['audio', 'video', 'screen'].map((kind) => this.#attach(kind)).includes(true);
    if (isNew) this.#renegotiate();
    this.#tellDevices();
    this.#changed();
  };

  #tellDevices() {
    const devices = { microphone: this.#devices.audio.isOn, camera: this.#devices.video.isOn };
    this.#signaling?.tell(devices).catch((error) => {
      if (error.status === 403) this.dispatchEvent(new CustomEvent('refused', { detail: error.message }));
    });
  }

  // MARK: What people do

  get self() {
    return this.#people.get(this.#id) ?? null;
  }

  async raiseHand(isRaised) {
    await this.#signaling?.tell({ hand: isRaised });
  }

  /** The line to the server, for what hosts do and what people write; `null` while there is none. */
  get signaling() {
    return this.#signaling;
  }

  /** Whether the room is larger than the screen, so that pictures come and go in places. */
  get isStaged() {
    return this.#isStaged;
  }

  get isEncrypted() {
    return this.#encryption !== null;
  }

  /** Whether frames come that the link's key does not open. */
  get isUndecryptable() {
    return this.#encryption?.isFailing ?? false;
  }

  // MARK: The room's events

  #take({ name, data }) {
    switch (name) {
      case 'snapshot':
        this.#id = data.id;
        this.#people = new Map(data.participants.map((participant) => [participant.id, participant]));
        this.#slots = new Map(data.slots.map((slot) => [slot.mid, slot.publication ?? null]));
        if (data.receiversWanted) this.#wanted = data.receiversWanted;
        this.#encodings = new Map(data.encodings.map(({ mid, rids }) => [mid, rids]));
        this.#applyEncodings();
        this.rules = data.rules;
        this.knockers = data.knockers;
        this.messages = data.messages;
        this.isRecorded = data.recorded;
        this.speaker = data.speaker ?? null;
        break;
      case 'rules-changed':
        this.rules = data;
        break;
      case 'allocation-changed':
        this.#allocations.set(data.mid, data);
        break;
      case 'recording-changed':
        this.isRecorded = data.recorded;
        break;
      case 'active-speaker':
        this.speaker = data.id;
        break;
      case 'knocked':
        this.knockers = [...this.knockers.filter((knocker) => knocker.id !== data.id), data];
        this.dispatchEvent(new CustomEvent('knocked', { detail: data }));
        break;
      case 'knock-ended':
        this.knockers = this.knockers.filter((knocker) => knocker.id !== data.id);
        break;
      case 'message':
        this.messages = [...this.messages.slice(1 - messagesKept), data];
        this.dispatchEvent(new CustomEvent('message', { detail: data }));
        break;
      case 'draining':
        this.dispatchEvent(new CustomEvent('refused', { detail: 'The server is about to stop. This meeting will have to move.' }));
        break;
      case 'publication-changed':
        this.#publicationChanged(data);
        break;
      case 'participant-joined':
      case 'participant-changed':
        this.#people.set(data.id, data);
        break;
      case 'participant-left':
        this.#people.delete(data.id);
        delete this.timeline.firstPicture[data.id];
        break;
      case 'publication-started': {
        const person = this.#people.get(data.participant);
        if (!person) break;
        person.publications = [...person.publications.filter((publication) => publication.id !== data.id), data];
        if (this.#listensOnly && data.kind === 'audio' && data.encrypted && person.id !== this.#id) {
          const detail = `${person.name} is encrypted from end to end, and is not in the sound that you hear.`;
          this.dispatchEvent(new CustomEvent('refused', { detail }));
        }
        break;
      }
      case 'publication-ended': {
        const person = this.#people.get(data.participant);
        if (!person) break;
        person.publications = person.publications.filter((publication) => publication.id !== data.id);
        break;
      }
      case 'slot-changed':
        this.#slots.set(data.mid, data.publication ?? null);
        this.#flow.delete(data.mid);
        break;
      case 'receivers-wanted':
        this.#wanted = data;
        break;
      case 'encodings-wanted':
        this.#encodings.set(data.mid, data.rids);
        this.#applyEncodings();
        break;
    }
    if (!this.#isStaged && this.#people.size - 1 > smallRoom) {
      this.#isStaged = true;
      this.showSizes(this.#sizes);
    }
    this.#fulfilWish();
    this.#changed();
  }

  #publicationChanged(publication) {
    const person = this.#people.get(publication.participant);
    if (!person) return;
    const before = person.publications.find((other) => other.id === publication.id);
    person.publications = person.publications.map((other) => (other.id === publication.id ? publication : other));
    if (person.id === this.#id && publication.muted && !before?.muted) {
      this.dispatchEvent(new CustomEvent('muted', { detail: publication }));
    }
  }

  /**
   * Offers more receivers if the server wished for them. A wish may cross with an offer that already fulfils it, so there are never more
   * receivers than there is to receive, nor, in a large room, than there are places.
   */
  #fulfilWish() {
    const missing = (kind) => {
      const publications = [...this.#people.values()].filter((person) => person.id !== this.id)
        .flatMap((person) => person.publications).filter((publication) => publication.kind === kind).length;
      const receivers = this.#connection.getTransceivers()
        .filter((transceiver) => transceiver.direction === 'recvonly' && transceiver.receiver.track.kind === kind).length;
      if (this.#listensOnly) return Math.max(0, Math.min(this.#wanted[kind], (kind === 'audio' ? 1 : 0) - receivers));
      const useful = this.#isStaged ? Math.min(publications, this.#places[kind]) : publications;
      return Math.max(0, Math.min(this.#wanted[kind], useful - receivers));
    };
    const more = { audio: missing('audio'), video: missing('video') };
    if (more.audio + more.video === 0) return;
    this.#wanted = { audio: this.#wanted.audio - more.audio, video: this.#wanted.video - more.video };
    this.#addReceivers(more);
    this.#renegotiate();
  }

  #trackCame(event) {
    const { transceiver, streams, track } = event;
    const mid = transceiver.mid;
    if (streams[0]) this.#streams.set(mid, streams[0].id);
    if (track.kind === 'audio' && !this.#audioSinks.has(mid)) {
      const sink = new Audio();
      sink.autoplay = true;
      sink.srcObject = new MediaStream([track]);
      sink.play().catch((error) => {
        if (error.name === 'NotAllowedError') this.dispatchEvent(new Event('silenced'));
      });
      this.#audioSinks.set(mid, sink);
    }
    track.addEventListener('unmute', () => this.#changed());
    track.addEventListener('mute', () => this.#changed());
    this.#changed();
  }

  /** Starts the sound that the browser held back until the person touched the page. */
  playSound() {
    for (const sink of this.#audioSinks.values()) sink.play().catch(() => {});
  }

  /** Who comes in where: participant's id to `{ audio, video }` transceivers. */
  #received() {
    const received = new Map();
    for (const transceiver of this.#connection?.getTransceivers() ?? []) {
      const { mid, receiver, currentDirection } = transceiver;
      if (mid === null || currentDirection === 'sendonly' || currentDirection === null) continue;
      const publication = this.#slots.get(mid);
      if (this.#listensOnly && !publication) continue;
      // The event stream knows best; before its first word about an m-line, the answer's stream id does.
      const id = publication === undefined ? this.#streams.get(mid) : publication?.participant;
      if (!id) continue;
      if (!received.has(id)) received.set(id, {});
      const place = publication?.purpose === 'screen' ? 'screen' : receiver.track.kind;
      received.get(id)[place] ??= transceiver;
    }
    return received;
  }

  // MARK: Keeping alive

  #connectionChanged() {
    const state = this.#connection.connectionState;
    if (state === 'connected') {
      clearTimeout(this.#recovery);
      this.#recovery = null;
      this.#restarts = 0;
      this.timeline.connected ||= performance.now();
      this.problem = null;
      this.#setState('live');
    } else if (state === 'disconnected') {
      this.#setState('reconnecting');
      this.#recoverSoon(disconnectedGrace);
    } else if (state === 'failed') {
      this.#setState('reconnecting');
      this.#recoverSoon(0);
    }
    this.#changed();
  }

  #recoverSoon(delay = backoff(this.#restarts)) {
    if (this.#recovery !== null || this.state === 'left') return;
    this.#recovery = setTimeout(() => {
      this.#recovery = null;
      this.#recover();
    }, delay);
  }

  #recover() {
    const state = this.#connection?.connectionState;
    if (!state || this.state === 'left') return;
    if (state === 'connected' && !this.#restartWanted) return;
    this.#restarts += 1;
    if (this.#restarts > restartLimit) {
      this.#reenter();
      return;
    }
    this.#renegotiate({ restartICE: state !== 'connected' });
    this.#recoverSoon(backoff(this.#restarts + 1));
  }

  #online = () => {
    if (!this.#connection || this.#connection.connectionState === 'connected') return;
    clearTimeout(this.#recovery);
    this.#recovery = null;
    this.#recover();
  };

  /** Watches whether pictures keep coming on each m-line. */
  async #measure() {
    const connection = this.#connection;
    if (!connection) return;
    const report = await connection.getStats().catch(() => null);
    if (!report || this.#connection !== connection) return;
    const now = performance.now();
    const transceivers = connection.getTransceivers();
    for (const stat of report.values()) {
      if (stat.type !== 'inbound-rtp' || stat.kind !== 'video') continue;
      const transceiver = transceivers.find((candidate) => belongs(stat, candidate));
      if (!transceiver) continue;
      const previous = this.#flow.get(transceiver.mid);
      const frames = stat.framesDecoded ?? 0;
      const isMoving = !previous || frames > previous.frames;
      this.#flow.set(transceiver.mid, {
        frames, movedAt: isMoving ? now : previous.movedAt, stalled: isMoving ? 0 : now - previous.movedAt, ...rates(stat, previous, now, report),
      });
    }
    this.#changed();
  }

  #setState(state) {
    if (this.state === 'left' || this.state === state) return;
    this.state = state;
    this.#changed();
  }

  #changed() {
    if (this.#changeQueued) return;
    this.#changeQueued = true;
    queueMicrotask(() => {
      this.#changeQueued = false;
      this.dispatchEvent(new Event('change'));
    });
  }
}

/** Chromium and Firefox both name the m-line; the track's id is what older ones have. */
function belongs(stat, transceiver) {
  return stat.mid !== undefined ? stat.mid === transceiver.mid : stat.trackIdentifier === transceiver.receiver.track.id;
}

/** Why a picture is not better, in words; `null` where it is as good as it is of use. */
function reasonOf(allocation) {
  if (!allocation) return null;
  const carries = allocation.available ? `your downlink carries ${(allocation.available / 1e6).toFixed(1)} Mbit/s` : 'your downlink is narrow';
  const shown = allocation.height > 0 ? `: showing ${allocation.height}p` : '';
  switch (allocation.reason) {
    case 'limitedByBandwidth': return `${carries}${shown}`;
    case 'awaitingProbe': return `${carries}${shown} until there is more`;
    case 'dwelling': return `${carries}${shown} until that lasts`;
    case 'paused': return `${carries}, which is not enough for this picture`;
    case 'oversent':
    case 'neverPaused': return `${carries}, and this needs more`;
    case 'audioOnly': return 'only sound is wanted';
    default: return null;
  }
}

/** What a picture was in the last second, for people to read. */
function rates(stat, previous, now, report) {
  const seconds = previous ? (now - previous.at) / 1000 : 0;
  const grown = (key) => (previous ? (stat[key] ?? 0) - (previous.counts[key] ?? 0) : 0);
  const received = grown('packetsReceived');
  const lost = Math.max(0, grown('packetsLost'));
  return {
    at: now,
    counts: { framesDecoded: stat.framesDecoded, bytesReceived: stat.bytesReceived, packetsReceived: stat.packetsReceived, packetsLost: stat.packetsLost },
    width: stat.frameWidth ?? 0,
    height: stat.frameHeight ?? 0,
    framesPerSecond: seconds > 0 ? grown('framesDecoded') / seconds : 0,
    kilobitsPerSecond: seconds > 0 ? (grown('bytesReceived') * 8) / seconds / 1000 : 0,
    lossPercent: received + lost > 0 ? (100 * lost) / (received + lost) : 0,
    codec: report.get(stat.codecId)?.mimeType?.split('/')[1] ?? '',
  };
}

/** How loud the last packet was, 0 to 1. */
function levelOf(receiver) {
  const source = receiver.getSynchronizationSources?.()[0];
  if (!source || performance.timeOrigin + performance.now() - source.timestamp > 1000) return 0;
  return source.audioLevel ?? 0;
}
