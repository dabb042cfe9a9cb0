// The grid of tiles: one for each person, as large as the area allows, with a picture or the reason why there is none.

/** Pictures are shown between these shapes (width by height) and cropped a little rather than framed in black; more so on an upright screen. */
const widest = 16 / 9;
const narrowest = 4 / 3;
const narrowestUpright = 3 / 4;
const gap = 10;
/** Below this width there is no room for one's own picture in the grid. */
const phoneWidth = 640;
/** A picture that has not moved for so many milliseconds is no picture. */
const stallLimit = 3000;
/** A picture may be enlarged this much before a larger one is asked for: sizes stand a factor of two apart, and this is half the way. */
const enlargement = Math.SQRT2;
/** Below this height, in pixels of the screen, nobody sees whether a picture moves 30 times a second. */
const thumbnailHeight = 150;
const thumbnailRate = 15;
const speakingLevel = 0.02;
const speakingHold = 900;

/** How `count` tiles fill an area best: `{ columns, rows, width, height }`. */
export function arrange(count, areaWidth, areaHeight) {
  const slimmest = areaWidth < areaHeight ? narrowestUpright : narrowest;
  let best = { columns: 1, rows: 1, width: 0, height: 0 };
  for (let columns = 1; columns <= count; columns += 1) {
    const rows = Math.ceil(count / columns);
    let width = (areaWidth - gap * (columns - 1)) / columns;
    let height = (areaHeight - gap * (rows - 1)) / rows;
    if (width <= 0 || height <= 0) continue;
    if (width > height * widest) width = height * widest;
    if (width < height * slimmest) height = width / slimmest;
    if (width * height > best.width * best.height + 1) best = { columns, rows, width: Math.floor(width), height: Math.floor(height) };
  }
  return best;
}

/**
 * What is of use of a picture that covers a box of so many CSS pixels: the size, cropped edges included, in pixels of the screen, and for
 * small ones how many frames in a second.
 */
export function usefulSize(box, shape, density) {
  if (box.width < 1 || box.height < 1) return null;
  const height = Math.max(box.height, box.width / shape) * density;
  const size = { width: Math.ceil(height * shape * enlargement), height: Math.ceil(height * enlargement) };
  return height < thumbnailHeight ? { ...size, framesPerSecond: thumbnailRate } : size;
}

/** Two letters for who has no picture. */
export function initialsOf(name) {
  const words = name.trim().split(/\s+/);
  const letters = words.length > 1 ? [words[0], words[words.length - 1]].map((word) => [...word][0]) : [...words[0]].slice(0, 2);
  return letters.join('').toUpperCase();
}

/** A steady hue for a name. */
export function hueOf(name) {
  let hash = 7;
  for (const character of name) hash = (hash * 31 + character.codePointAt(0)) % 360;
  return hash;
}

/** Why there is no picture of this person, or `null` if there is one. */
function reasonWithoutPicture(person, tile, session, devices) {
  if (person.isSelf) {
    if (!devices.video.isOn) return devices.video.problem ? `Camera ${devices.video.problem}` : 'Camera off';
    return tile.hasFrames ? null : 'Starting your camera…';
  }
  const isFlowing = tile.hasFrames && person.videoTrack && (person.videoFlow?.stalled ?? 0) < stallLimit;
  if (person.camera === false) return 'Camera off';
  if (session.state === 'reconnecting' && !isFlowing) return 'Reconnecting…';
  if (person.connection === 'failed' || person.connection === 'disconnected') return 'Connection lost';
  if (isFlowing) return null;
  if (!person.hasVideo) {
    if (person.connection === 'connecting') return 'Connecting…';
    return person.camera ? 'Waiting for video…' : 'No camera';
  }
  return tile.hasFrames && person.videoTrack ? 'Picture interrupted' : 'Waiting for video…';
}

class Tile {
  hasFrames = false;
  spokeAt = 0;

  constructor(template) {
    this.element = template;
    this.video = template.querySelector('video');
    this.avatar = template.querySelector('.avatar');
    this.reason = template.querySelector('.reason');
    this.label = template.querySelector('.name');
    this.muted = template.querySelector('.muted');
    this.track = null;
  }

  /** Shows a track; a new one starts without frames. */
  show(track, onFrame) {
    if (this.track === track) return;
    this.track = track;
    this.hasFrames = false;
    if (!track) {
      this.video.srcObject = null;
      return;
    }
    this.video.srcObject = new MediaStream([track]);
    this.video.play().catch(() => {});
    const arrived = () => {
      if (this.track !== track || this.hasFrames) return;
      this.hasFrames = true;
      onFrame();
    };
    // Fires with the first frame, and long after `playing` would.
    this.video.addEventListener('loadeddata', arrived, { once: true });
  }
}

function makeTile() {
  const element = document.createElement('li');
  element.className = 'tile';
  element.innerHTML = `
    <video autoplay playsinline muted></video>
    <div class="blank"><span class="avatar" aria-hidden="true"></span><span class="reason"></span></div>
    <div class="label"><svg class="icon muted" role="img" aria-label="muted"><use href="#icon-mic-off"/></svg><span class="name"></span></div>`;
  return new Tile(element);
}

export class Stage {
  #list;
  #tiles = new Map();
  #session = null;
  #devices;
  #speakingTimer = null;

  constructor(list, devices) {
    this.#list = list;
    this.#devices = devices;
    new ResizeObserver(() => this.#layOut()).observe(list);
    document.addEventListener('visibilitychange', () => this.#tellSizes());
  }

  show(session) {
    this.#session = session;
    this.#speakingTimer ??= setInterval(() => this.#listen(), 200);
    this.update();
  }

  clear() {
    clearInterval(this.#speakingTimer);
    this.#speakingTimer = null;
    this.#session = null;
    for (const tile of this.#tiles.values()) {
      tile.show(null);
      tile.element.remove();
    }
    this.#tiles.clear();
  }

  /** What is on the screen. For tests. */
  get tiles() {
    return [...this.#tiles.values()].map((tile) => {
      const box = tile.element.getBoundingClientRect();
      return {
        id: tile.element.dataset.id, name: tile.label.textContent, isSelf: tile.element.dataset.self === 'yes',
        hasPicture: tile.element.dataset.picture === 'yes', reason: tile.reason.textContent, isSpeaking: tile.element.dataset.speaking === 'yes',
        x: box.x, y: box.y, width: box.width, height: box.height, videoWidth: tile.video.videoWidth, videoHeight: tile.video.videoHeight,
      };
    });
  }

  update() {
    const session = this.#session;
    if (!session) return;
    // Who only watches is counted, but has nothing to show.
    const people = session.people.filter((person) => person.role !== 'viewer');
    people.sort((a, b) => Number(b.isSelf) - Number(a.isSelf));
    const wanted = new Map(people.map((person) => [person.isSelf ? 'self' : person.id, person]));

    for (const [key, tile] of this.#tiles) {
      if (wanted.has(key)) continue;
      tile.show(null);
      tile.element.remove();
      this.#tiles.delete(key);
    }
    for (const [key, person] of wanted) {
      if (!this.#tiles.has(key)) {
        const tile = makeTile();
        this.#tiles.set(key, tile);
        this.#list.append(tile.element);
      }
      this.#fill(this.#tiles.get(key), person);
    }
    this.#layOut();
  }

  #fill(tile, person) {
    const { element } = tile;
    element.dataset.id = person.id;
    element.dataset.self = person.isSelf ? 'yes' : 'no';
    tile.show(person.isSelf ? this.#devices.video.track : person.videoTrack, () => this.update());
    const reason = reasonWithoutPicture(person, tile, this.#session, this.#devices);
    if (reason === null) this.#session.notePicture(person.id);
    element.dataset.picture = reason === null ? 'yes' : 'no';
    setText(tile.reason, reason ?? '');
    setText(tile.label, person.isSelf ? `${person.name} (you)` : person.name);
    setText(tile.avatar, initialsOf(person.name));
    element.style.setProperty('--hue', hueOf(person.name));
    const isMuted = person.isSelf ? !this.#devices.audio.isOn : person.microphone === false || (person.microphone === undefined && !person.hasAudio);
    tile.muted.toggleAttribute('hidden', !isMuted);
    tile.video.setAttribute('aria-label', person.isSelf ? 'Your own picture' : `Picture of ${person.name}`);
  }

  /** Marks who is speaking. */
  #listen() {
    if (!this.#session) return;
    const now = performance.now();
    for (const person of this.#session.people) {
      const tile = this.#tiles.get(person.isSelf ? 'self' : person.id);
      if (!tile) continue;
      if (person.microphone === false) tile.spokeAt = 0;
      else if (!person.isSelf && person.audioLevel > speakingLevel) tile.spokeAt = now;
      tile.element.dataset.speaking = tile.spokeAt > 0 && now - tile.spokeAt < speakingHold ? 'yes' : 'no';
    }
  }

  #layOut() {
    const tiles = [...this.#tiles.values()];
    const self = this.#tiles.get('self');
    const others = tiles.filter((tile) => tile !== self);
    const { clientWidth: width, clientHeight: height } = this.#list;
    if (width === 0 || height === 0 || tiles.length === 0) return;

    // With one other person, or on a phone, one's own picture floats in a corner and leaves the area to the others.
    const isFloating = self !== undefined && (others.length === 1 || (others.length > 1 && width < phoneWidth));
    const inGrid = isFloating ? others : tiles;
    const { columns, rows, width: tileWidth, height: tileHeight } = arrange(inGrid.length, width, height);

    this.#list.style.setProperty('--columns', columns * 2);
    this.#list.style.setProperty('--tile-height', `${tileHeight}px`);
    this.#list.style.setProperty('--half-width', `${(tileWidth - gap) / 2}px`);
    // How far the grid stays away from the area's edges: what floats keeps to the grid.
    this.#list.style.setProperty('--inset-x', `${(width - columns * tileWidth - (columns - 1) * gap) / 2}px`);
    this.#list.style.setProperty('--inset-y', `${(height - rows * tileHeight - (rows - 1) * gap) / 2}px`);
    for (const tile of tiles) {
      const index = inGrid.indexOf(tile);
      tile.element.classList.toggle('floating', index < 0);
      // Every tile spans two columns, so that an incomplete last row can stand in the middle.
      const lastRowLength = inGrid.length % columns;
      const startsLastRow = lastRowLength > 0 && index === inGrid.length - lastRowLength;
      tile.element.style.gridColumn = index < 0 ? '' : startsLastRow ? `${columns - lastRowLength + 1} / span 2` : 'span 2';
    }
    this.#tellSizes();
  }

  /** Tells the session what is seen of each picture; nothing is, while the page is hidden. */
  #tellSizes() {
    const sizes = new Map();
    for (const tile of this.#tiles.values()) {
      if (tile.element.dataset.self === 'yes') continue;
      const { videoWidth, videoHeight } = tile.video;
      const shape = videoWidth > 0 && videoHeight > 0 ? videoWidth / videoHeight : widest;
      const box = document.hidden ? { width: 0, height: 0 } : tile.element.getBoundingClientRect();
      sizes.set(tile.element.dataset.id, usefulSize(box, shape, window.devicePixelRatio || 1));
    }
    this.#session?.showSizes(sizes);
  }
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
