// The page: landing, lobby, meeting, and the way between them.

import { bindSwitch, copyLink, note, showView } from './controls.js';
import { Devices } from './devices.js';
import { Encryption, fragmentOf, newKey } from './e2ee.js';
import { Meter } from './meter.js';
import { Panel } from './panel.js';
import { publishingWish } from './publishing.js';
import { Session } from './session.js';
import { describeRoom } from './signaling.js';
import { Stage, hueOf, initialsOf } from './stage.js';

const $ = (id) => document.getElementById(id);
const roomPattern = /^[A-Za-z0-9_-]{1,64}$/;

// MARK: Landing

/** A name that nobody guesses and everybody can read out: three groups of four letters. */
function newRoomName() {
  const letters = 'abcdefghijkmnpqrstuvwxyz';
  // 24 letters divide 240, so every letter is as likely as any other.
  const draws = [...crypto.getRandomValues(new Uint8Array(64))].filter((draw) => draw < 240);
  const drawn = draws.slice(0, 12).map((draw) => letters[draw % letters.length]).join('');
  return `${drawn.slice(0, 4)}-${drawn.slice(4, 8)}-${drawn.slice(8)}`;
}

/** The room that somebody typed: its name, or a link to it. */
function roomFrom(typed) {
  const text = typed.trim();
  const [, linked, fragment = ''] = text.match(/\/r\/([^/?#]+)[^#]*(#.*)?$/) ?? [];
  const name = linked ?? text.replace(/\s+/g, '-');
  return roomPattern.test(name) ? `${name}${fragment}` : null;
}

function showLanding() {
  showView('landing');
  $('landing-e2ee-row').hidden = !Encryption.isPossible;
  $('new-meeting').addEventListener('click', () => {
    // In the fragment, which no server sees.
    const fragment = $('landing-e2ee').checked ? `#key=${newKey()}` : '';
    location.assign(`/r/${newRoomName()}${fragment}`);
  });
  $('landing-form').addEventListener('submit', (event) => {
    event.preventDefault();
    const typed = $('landing-room').value;
    const room = roomFrom(typed);
    if (room) location.assign(`/r/${room}`);
    else $('landing-problem').textContent = typed.trim() ? 'A name has letters, digits, hyphens and underscores.' : 'Enter the link or the name of a meeting.';
  });
}

// MARK: A room

/** `?capture=640x360@15` asks the camera for less. */
function captureWish() {
  const wish = new URLSearchParams(location.search).get('capture')?.match(/^(\d+)x(\d+)(?:@(\d+))?$/);
  return wish ? { width: Number(wish[1]), height: Number(wish[2]), ...(wish[3] && { frameRate: Number(wish[3]) }) } : {};
}

function remember(name) {
  try {
    localStorage.setItem('enfilade.name', name);
  } catch {
    // Private windows may refuse; then the name is typed again next time.
  }
}

function remembered() {
  try {
    return localStorage.getItem('enfilade.name') ?? '';
  } catch {
    return '';
  }
}

/** Tells this browser from others, so that who was removed is known again. */
function deviceName() {
  const drawn = () => [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  try {
    const known = localStorage.getItem('enfilade.device');
    if (known?.match(/^[0-9a-f]{32}$/)) return known;
    const name = drawn();
    localStorage.setItem('enfilade.device', name);
    return name;
  } catch {
    return drawn();
  }
}

const farewells = {
  removed: ['You were removed.', 'The host has taken you out of this meeting.'],
  replaced: ['You are here twice.', 'You came in again with the same invitation, from elsewhere.'],
  'room closed': ['The meeting is over.', 'The host has ended it for everybody.'],
  'room expired': ['The meeting is over.', 'Its time has run out.'],
  'host left': ['The meeting is over.', 'The host has left.'],
};

class RoomPage {
  #room;
  #invite;
  #key;
  #devices = new Devices(captureWish());
  #stage = new Stage($('stage'), this.#devices);
  #panel = new Panel();
  #meter = new Meter($('meter'));
  #session = null;

  constructor(room) {
    this.#room = room;
    const fragment = fragmentOf(location.hash);
    this.#key = fragment.get('key');
    this.#invite = fragment.get('invite') ?? this.#hostInvite;
  }

  /** Who became the host by coming first is so after loading the page again. */
  get #hostInvite() {
    try {
      return sessionStorage.getItem(`enfilade.host.${this.#room}`);
    } catch {
      return null;
    }
  }

  #keepInvite(invite) {
    try {
      sessionStorage.setItem(`enfilade.host.${this.#room}`, invite);
    } catch {
      // Then a page that is loaded again is a member's.
    }
  }

  /** The link to give away: a member's, with the key of the encryption, and with an invitation of its own where one came in by one. */
  async #link() {
    const fragment = new URLSearchParams();
    const own = fragmentOf(location.hash).get('invite');
    let path = `/r/${this.#room}`;
    if (own && this.#session?.self?.moderates) {
      const [, text] = (await this.#session.signaling.invite({ role: 'member' })).split('#invite=');
      fragment.set('invite', text);
    } else if (own) {
      fragment.set('invite', own);
    }
    if (this.#key) fragment.set('key', this.#key);
    if (fragment.size > 0) path += `#${fragment}`;
    return `${location.origin}${path}`;
  }

  async #copyLink() {
    try {
      await copyLink(await this.#link(), $('invitation-link'));
    } catch (error) {
      note(error.message);
    }
  }

  get session() {
    return this.#session;
  }

  get stage() {
    return this.#stage;
  }

  get isOpening() {
    return this.#devices.isOpening;
  }

  start() {
    document.title = `${this.#room} · Enfilade`;
    for (const id of ['lobby-room', 'waiting-room', 'meeting-room', 'left-room']) $(id).textContent = this.#room;
    $('lobby-e2ee').hidden = !this.#key;
    $('badge-e2ee').hidden = !this.#key;
    bindSwitch($('lobby-microphone'), this.#devices, 'audio', 'microphone');
    bindSwitch($('lobby-camera'), this.#devices, 'video', 'camera');
    bindSwitch($('microphone'), this.#devices, 'audio', 'microphone');
    bindSwitch($('camera'), this.#devices, 'video', 'camera');
    $('lobby-listen').disabled = Boolean(this.#key);
    if (this.#key) $('lobby-listen-words').textContent = 'Not in a meeting that is encrypted from end to end: what the server cannot hear it cannot mix.';
    $('lobby-listen').addEventListener('change', () => $('lobby-listen').checked && this.#quieten());
    for (const id of ['copy-link', 'invitation-copy', 'panel-copy']) $(id).addEventListener('click', () => this.#copyLink());
    this.#bindControls();
    $('join-form').addEventListener('submit', (event) => {
      event.preventDefault();
      this.#join();
    });
    $('join-name').addEventListener('input', () => this.#showPreview());
    $('leave').addEventListener('click', () => this.#leave());
    $('rejoin').addEventListener('click', () => this.#showLobby());
    $('stop-waiting').addEventListener('click', () => {
      this.#session?.leave();
      this.#session = null;
      this.#showLobby();
    });
    $('unmute-page').addEventListener('click', () => {
      this.#session?.playSound();
      $('unmute-page').hidden = true;
    });
    this.#devices.addEventListener('change', () => {
      this.#showPreview();
      this.#showSwitches();
      this.#stage.update();
    });
    $('preview-video').addEventListener('loadeddata', () => this.#showPreview());
    addEventListener('pagehide', () => this.#session?.leaveQuietly());
    addEventListener('pageshow', (event) => event.persisted && this.#session?.comeBack());
    $('join-name').value = remembered();
    this.#showLobby();
  }

  async #showLobby() {
    showView('lobby');
    $('join-problem').textContent = '';
    $('join').disabled = false;
    if (!$('join-name').value) $('join-name').focus();
    this.#showPreview();
    this.#describe();
    await this.#devices.open();
    if ($('lobby-listen').checked) await this.#quieten();
  }

  /** Who only listens sends nothing, until they turn something on. */
  async #quieten() {
    await this.#devices.setMicrophone(false);
    await this.#devices.setCamera(false);
  }

  async #describe() {
    try {
      const { participants } = await describeRoom(this.#room);
      const count = participants === 1 ? 'One person is' : `${participants} people are`;
      $('lobby-people').textContent = participants === 0 ? 'Nobody is here yet.' : `${count} already here.`;
    } catch (error) {
      $('lobby-people').textContent = error.message;
    }
  }

  #showPreview() {
    const { video } = this.#devices;
    this.#meter.follow(document.body.dataset.view === 'lobby' && this.#devices.audio.isOn ? this.#devices.audio.track : null);
    const element = $('preview-video');
    const shown = element.srcObject?.getVideoTracks()[0] ?? null;
    if (shown !== video.track) element.srcObject = video.track ? new MediaStream([video.track]) : null;
    const hasPicture = video.track !== null && element.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA;
    $('preview-tile').dataset.picture = hasPicture ? 'yes' : 'no';
    const isStarting = this.#devices.isOpening || video.track !== null;
    const reason = isStarting ? 'Starting your camera…' : video.problem ? `Camera ${video.problem}` : 'Camera off';
    $('preview-reason').textContent = hasPicture ? '' : reason;
    const name = $('join-name').value.trim();
    $('preview-avatar').textContent = name ? initialsOf(name) : '';
    $('preview-tile').style.setProperty('--hue', hueOf(name));
  }

  async #join() {
    const name = $('join-name').value.trim();
    if (!name) {
      $('join-problem').textContent = 'Enter a name, so that the others know who you are.';
      $('join-name').focus();
      return;
    }
    remember(name);
    $('join').disabled = true;
    $('join-problem').textContent = '';
    if (this.#key && !Encryption.isPossible) {
      $('join-problem').textContent = 'This meeting is encrypted from end to end, which this browser cannot do.';
      $('join').disabled = false;
      return;
    }
    const wish = publishingWish(location.search);
    // What is encrypted before packets are made must have a codec whose packets do not look into it.
    const publishing = this.#key ? { codec: 'VP8', mode: null } : wish;
    const who = { name, invite: this.#invite ?? undefined, device: deviceName() };
    const session = new Session(this.#room, who, this.#devices, publishing, this.#key, $('lobby-listen').checked && !this.#key);
    this.#session = session;
    this.#panel.follow(session);
    session.addEventListener('ended', () => this.#session === session && this.#sayFarewell(session.farewell));
    session.addEventListener('refused', (event) => note(event.detail, 8000));
    session.addEventListener('muted', (event) => this.#muted(event.detail));
    session.addEventListener('knocked', (event) => note(`${event.detail.name} is at the door.`, 8000));
    session.addEventListener('message', (event) => {
      const { from, name: who, text } = event.detail;
      if (from !== session.id && this.#panel.shown !== 'chat') note(`${who}: ${text.slice(0, 120)}`);
    });
    session.addEventListener('change', () => this.#session === session && this.#showMeeting());
    session.addEventListener('silenced', () => {
      $('unmute-page').hidden = false;
    });
    try {
      await session.join();
    } catch (error) {
      if (this.#session !== session) return;
      this.#session = null;
      session.leave();
      this.#stage.clear();
      showView('lobby');
      $('join').disabled = false;
      $('join-problem').textContent = error.message;
      this.#showPreview();
    }
  }

  /** A microphone that the host muted is off, as if the person had turned it off. */
  #muted(publication) {
    if (publication.kind !== 'audio') return;
    this.#devices.setMicrophone(false);
    note('The host has muted you.', 6000);
  }

  #bindControls() {
    $('share').hidden = !Devices.canShare;
    $('share').addEventListener('click', () => this.#share());
    $('stop-sharing').addEventListener('click', () => this.#devices.setScreen(false));
    $('hand').addEventListener('click', () => this.#raiseHand());
    $('chat').addEventListener('click', () => this.#panel.toggle('chat'));
    $('people').addEventListener('click', () => this.#panel.toggle('people'));
    $('page-previous').addEventListener('click', () => this.#stage.turnPage(-1));
    $('page-next').addEventListener('click', () => this.#stage.turnPage(1));
    $('view').addEventListener('click', () => this.#stage.setMode(this.#stage.mode === 'gallery' ? 'speaker' : 'gallery'));
    $('listen-only').addEventListener('click', () => this.#listenOnly(!this.#session?.listensOnly));
    $('stop-listening').addEventListener('click', () => this.#listenOnly(false));
    $('statistics').addEventListener('click', () => { this.#stage.showsFigures = !this.#stage.showsFigures; });
    $('shortcuts').addEventListener('click', () => $('keys').showModal());
    const showMenu = (isShown) => {
      $('menu').hidden = !isShown;
      $('more').setAttribute('aria-expanded', String(isShown));
      if (isShown) $('view').focus();
    };
    $('more').addEventListener('click', () => showMenu($('menu').hidden));
    document.addEventListener('click', (event) => { if (!event.target.closest('#more')) showMenu(false); });
    document.addEventListener('keydown', (event) => {
      if (event.key === 'Escape' && !$('menu').hidden) showMenu(false);
      else this.#press(event);
    });
    this.#panel.addEventListener('change', () => this.#showSwitches());
    this.#stage.addEventListener('change', () => this.#showPages());
  }

  #press(event) {
    const isTyping = event.target.closest?.('input, textarea, dialog');
    if (document.body.dataset.view !== 'meeting' || isTyping || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    const id = { m: 'microphone', v: 'camera', s: 'share', h: 'hand', c: 'chat', p: 'people', g: 'view', l: 'copy-link', i: 'statistics', b: 'listen-only', '?': 'shortcuts',
      ArrowLeft: 'page-previous', ArrowRight: 'page-next' }[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!id || $(id).hidden) return;
    event.preventDefault();
    $(id).click();
  }

  async #share() {
    const isOn = !this.#devices.screen.isOn;
    await this.#devices.setScreen(isOn);
    if (isOn && this.#devices.screen.problem) note(`Your screen is ${this.#devices.screen.problem}.`);
  }

  /** To the one sound of everybody, or back to every voice and picture by itself. */
  async #listenOnly(listensOnly) {
    for (const id of ['listen-only', 'stop-listening']) $(id).disabled = true;
    try {
      await this.#session?.setListensOnly(listensOnly);
      if (listensOnly) await this.#quieten();
    } catch (error) {
      note(error.message, 8000);
    }
    for (const id of ['listen-only', 'stop-listening']) $(id).disabled = false;
  }

  async #raiseHand() {
    try {
      await this.#session?.raiseHand(!this.#session.self?.hand);
    } catch (error) {
      note(error.message);
    }
  }

  #showSwitches() {
    const set = (id, isOn, label) => {
      $(id).setAttribute('aria-pressed', String(isOn));
      if (!label) return;
      $(id).setAttribute('aria-label', label);
      $(id).title = label;
    };
    const isSharing = this.#devices.screen.isOn;
    const hasHand = Boolean(this.#session?.self?.hand);
    set('share', isSharing, isSharing ? 'Stop showing your screen (S)' : 'Show your screen (S)');
    set('hand', hasHand, hasHand ? 'Lower your hand (H)' : 'Raise your hand (H)');
    set('chat', this.#panel.shown === 'chat');
    set('people', this.#panel.shown === 'people');
    $('sharing').hidden = !isSharing;
    const listensOnly = this.#session?.listensOnly ?? false;
    $('listening').hidden = !listensOnly;
    $('listen-only-text').textContent = listensOnly ? 'Show pictures again' : 'Listen only, low bandwidth';
    $('chat-dot').hidden = this.#panel.unread === 0;
    $('people-dot').hidden = !(this.#session?.knockers.length > 0);
  }

  #showPages() {
    const { page, pageCount, mode } = this.#stage;
    $('page-previous').hidden = pageCount < 2 || page === 0;
    $('page-next').hidden = pageCount < 2 || page === pageCount - 1;
    $('page-number').hidden = pageCount < 2;
    $('page-number').textContent = `${page + 1} of ${pageCount}`;
    $('view-text').textContent = mode === 'gallery' ? 'Speaker view' : 'Gallery';
  }

  #sayFarewell(farewell) {
    const [title, words] = farewells[farewell] ?? ['You are not in the meeting any more.', farewell];
    this.#close();
    $('left-title').textContent = title;
    $('left-words').textContent = words;
    $('rejoin').hidden = ['removed', 'room closed', 'room expired', 'host left'].includes(farewell);
    showView('left');
  }

  #showMeeting() {
    const session = this.#session;
    if (!session || session.state === 'left') return;
    if (session.state === 'waiting') {
      showView('waiting');
      return;
    }
    if (session.invite && session.invite !== this.#invite) {
      this.#invite = session.invite;
      this.#keepInvite(session.invite);
    }
    const people = session.people;
    if (people.length === 0) return;
    if (document.body.dataset.view !== 'meeting') {
      showView('meeting');
      $('preview-video').srcObject = null;
      this.#meter.follow(null);
      this.#stage.show(session);
    }
    $('people-count').textContent = String(people.length);
    const isAlone = people.length < 2 && session.state !== 'reconnecting';
    if (isAlone && $('invitation').hidden) this.#link().then((link) => { $('invitation-link').value = link; }, () => {});
    $('invitation').hidden = !isAlone;
    $('badge-locked').hidden = !session.rules?.locked;
    $('badge-recorded').hidden = !session.isRecorded;
    const words = { joining: 'Connecting…', reconnecting: 'Connection lost. Reconnecting…' }[session.state];
    $('connection').textContent = words ?? '';
    $('connection').hidden = !words;
    this.#stage.update();
    this.#panel.update();
    this.#showSwitches();
  }

  #close() {
    this.#session?.leave();
    this.#session = null;
    this.#panel.follow(null);
    this.#stage.clear();
    this.#devices.close();
    $('unmute-page').hidden = true;
  }

  #leave() {
    this.#close();
    $('left-title').textContent = 'You have left.';
    $('left-words').replaceChildren('The meeting ', Object.assign(document.createElement('strong'), { textContent: this.#room }), ' goes on without you.');
    $('rejoin').hidden = false;
    showView('left');
  }
}

// MARK: Start

const room = location.pathname.match(/^\/r\/([^/]+)$/)?.[1];
if (room && roomPattern.test(room)) {
  const page = new RoomPage(room);
  /** For tests and for the curious: what is on the screen, and what comes in. */
  window.enfilade = {
    get isOpening() {
      return page.isOpening;
    },
    get state() {
      return page.session?.state ?? null;
    },
    get listensOnly() {
      return page.session?.listensOnly ?? false;
    },
    get timeline() {
      return page.session?.timeline ?? null;
    },
    tiles: () => page.stage.tiles,
    stats: async () => (await page.session?.stats()) ?? [],
    get rules() {
      return page.session?.rules ?? null;
    },
    get signaling() {
      return page.session?.signaling ?? null;
    },
    get peerConnection() {
      return page.session?.peerConnection ?? null;
    },
  };
  page.start();
} else {
  showLanding();
  if (room) note('That is not the name of a room.');
}
