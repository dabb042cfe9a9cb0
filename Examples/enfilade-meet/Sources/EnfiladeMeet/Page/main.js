// The page: landing, lobby, meeting, and the way between them.

import { bindSwitch, copyLink, note, showView } from './controls.js';
import { Devices } from './devices.js';
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
  const linked = text.match(/\/r\/([^/?#]+)/)?.[1];
  const name = linked ?? text.replace(/\s+/g, '-');
  return roomPattern.test(name) ? name : null;
}

function showLanding() {
  showView('landing');
  $('new-meeting').addEventListener('click', () => location.assign(`/r/${newRoomName()}`));
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

class RoomPage {
  #room;
  #link;
  #devices = new Devices(captureWish());
  #stage = new Stage($('stage'), this.#devices);
  #session = null;

  constructor(room) {
    this.#room = room;
    this.#link = `${location.origin}/r/${room}`;
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
    for (const id of ['lobby-room', 'meeting-room', 'left-room']) $(id).textContent = this.#room;
    $('invitation-link').value = this.#link;
    bindSwitch($('lobby-microphone'), this.#devices, 'audio', 'microphone');
    bindSwitch($('lobby-camera'), this.#devices, 'video', 'camera');
    bindSwitch($('microphone'), this.#devices, 'audio', 'microphone');
    bindSwitch($('camera'), this.#devices, 'video', 'camera');
    $('copy-link').addEventListener('click', () => copyLink(this.#link, $('invitation-link')));
    $('invitation-copy').addEventListener('click', () => copyLink(this.#link, $('invitation-link')));
    $('join-form').addEventListener('submit', (event) => {
      event.preventDefault();
      this.#join();
    });
    $('join-name').addEventListener('input', () => this.#showPreview());
    $('leave').addEventListener('click', () => this.#leave());
    $('rejoin').addEventListener('click', () => this.#showLobby());
    $('unmute-page').addEventListener('click', () => {
      this.#session?.playSound();
      $('unmute-page').hidden = true;
    });
    this.#devices.addEventListener('change', () => {
      this.#showPreview();
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
    const session = new Session(this.#room, name, this.#devices, publishingWish(location.search));
    this.#session = session;
    session.addEventListener('change', () => this.#session === session && this.#showMeeting());
    session.addEventListener('silenced', () => {
      $('unmute-page').hidden = false;
    });
    try {
      await session.join();
    } catch (error) {
      this.#session = null;
      session.leave();
      this.#stage.clear();
      showView('lobby');
      $('join').disabled = false;
      $('join-problem').textContent = error.message;
    }
  }

  #showMeeting() {
    const session = this.#session;
    if (!session || session.state === 'left') return;
    const people = session.people;
    if (people.length === 0) return;
    if (document.body.dataset.view !== 'meeting') {
      showView('meeting');
      $('preview-video').srcObject = null;
      this.#stage.show(session);
    }
    $('people-count').textContent = String(people.length);
    $('invitation').hidden = people.length > 1 || session.state === 'reconnecting';
    const words = { joining: 'Connecting…', reconnecting: 'Connection lost. Reconnecting…' }[session.state];
    $('connection').textContent = words ?? '';
    $('connection').hidden = !words;
    this.#stage.update();
  }

  #leave() {
    this.#session?.leave();
    this.#session = null;
    this.#stage.clear();
    this.#devices.close();
    $('unmute-page').hidden = true;
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
    get timeline() {
      return page.session?.timeline ?? null;
    },
    tiles: () => page.stage.tiles,
    stats: async () => (await page.session?.stats()) ?? [],
    get peerConnection() {
      return page.session?.peerConnection ?? null;
    },
  };
  page.start();
} else {
  showLanding();
  if (room) note('That is not the name of a room.');
}
