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
/** A screen that nothing happens on is sent once in a while only. */
const screenStallLimit = 15_000;
/** Below so many square pixels a face is not a face any more, and there is another page. */
const leastTileArea = 30_000;
const largestPage = 25;
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
  const [track, flow] = tile.isScreen ? [person.screenTrack, person.screenFlow] : [person.videoTrack, person.videoFlow];
  const isFlowing = tile.hasFrames && track && (flow?.stalled ?? 0) < (tile.isScreen ? screenStallLimit : stallLimit);
  if (!tile.isScreen && person.camera === false) return 'Camera off';
  if (session.state === 'reconnecting' && !isFlowing) return 'Reconnecting…';
  if (person.connection === 'failed' || person.connection === 'disconnected') return 'Connection lost';
  if (!tile.isScreen && person.isPictureStopped) return 'Stopped by the host';
  if (session.listensOnly) return 'Pictures are off';
  if (isFlowing) return null;
  if (!tile.isScreen && person.isPausedForBandwidth) return 'Paused: your connection is too slow';
  if (session.isUndecryptable) return 'Encrypted with another key';
  if (!tile.isScreen && !person.hasVideo) {
    if (person.connection === 'connecting') return 'Connecting…';
    return person.camera ? 'Waiting for video…' : 'No camera';
  }
  return tile.hasFrames && track ? 'Picture interrupted' : 'Waiting for video…';
}

/** How good what comes in is: 3 good, 2 with losses, 1 bad; and why, in words. */
function qualityOf(flow, reason) {
  if (!flow || !flow.height) return null;
  const words = [`${flow.height}p`, `${Math.round(flow.framesPerSecond)} frames/s`];
  let level = 3;
  if (flow.lossPercent >= 1) {
    words.push(`${flow.lossPercent.toFixed(0)} % lost on the way`);
    level = flow.lossPercent >= 8 ? 1 : 2;
  }
  if (flow.stalled > 1000) {
    words.push('standing still');
    level = 1;
  }
  if (reason) {
    words.push(reason);
    level = Math.min(level, 2);
  }
  return { level, words: words.join(', ') };
}

class Tile {
  hasFrames = false;
  spokeAt = 0;

  constructor(element, key) {
    this.key = key;
    this.isScreen = key.endsWith(':screen');
    this.element = element;
    this.video = element.querySelector('video');
    this.avatar = element.querySelector('.avatar');
    this.reason = element.querySelector('.reason');
    this.label = element.querySelector('.name');
    this.muted = element.querySelector('.muted');
    this.hand = element.querySelector('.hand');
    this.quality = element.querySelector('.quality');
    this.figures = element.querySelector('.figures');
    this.focus = element.querySelector('.focus');
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

  /** Puts it somewhere, or takes it off the screen. */
  place(box) {
    this.element.hidden = box === null;
    if (box === null) return;
    const { style } = this.element;
    for (const side of ['left', 'top', 'width', 'height']) style[side] = `${Math.round(box[side])}px`;
    this.element.classList.toggle('floating', box.isFloating === true);
    this.element.classList.toggle('small', box.width < 230);
  }
}

function makeTile(key) {
  const element = document.createElement('li');
  element.className = 'tile';
  element.innerHTML = `
    <video autoplay playsinline muted></video>
    <div class="blank"><span class="avatar" aria-hidden="true"></span><span class="reason"></span></div>
    <div class="marks"><svg class="icon hand" role="img" aria-label="hand raised" hidden><use href="#icon-hand"/></svg><span class="quality" role="img" hidden><i></i><i></i><i></i></span></div>
    <pre class="figures" hidden></pre>
    <div class="label"><svg class="icon muted" role="img" aria-label="muted"><use href="#icon-mic-off"/></svg><span class="name"></span></div>
    <button type="button" class="focus"></button>`;
  return new Tile(element, key);
}

/**
 * Events: `change` when the page or the mode has changed.
 *
 * `mode` is `gallery` or `speaker`: then one is large, and the others stand in a row.
 */
export class Stage extends EventTarget {
  mode = 'gallery';
  page = 0;
  pageCount = 1;
  #list;
  #tiles = new Map();
  #session = null;
  #devices;
  #speakingTimer = null;
  #pinned = null;
  #hadScreen = false;
  #showsFigures = false;
  /** The tiles' keys in the order of the gallery. */
  #order = [];

  constructor(list, devices) {
    super();
    this.#list = list;
    this.#devices = devices;
    new ResizeObserver(() => this.#layOut()).observe(list);
    document.addEventListener('visibilitychange', () => this.#tellSizes());
    list.addEventListener('click', (event) => {
      const key = event.target.closest?.('.focus')?.closest('.tile')?.dataset.key;
      if (key) this.pin(key);
    });
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
    this.#pinned = null;
    this.#hadScreen = false;
    this.mode = 'gallery';
    this.page = 0;
    this.#order = [];
    for (const tile of this.#tiles.values()) {
      tile.show(null);
      tile.element.remove();
    }
    this.#tiles.clear();
  }

  setMode(mode) {
    this.mode = mode;
    if (mode === 'gallery') this.#pinned = null;
    this.#layOut();
  }

  turnPage(step) {
    this.page += step;
    this.#layOut();
  }

  /** Makes one large, or lets go of it. */
  pin(key) {
    this.#pinned = this.#pinned === key ? null : key;
    this.mode = this.#pinned ? 'speaker' : 'gallery';
    this.#layOut();
  }

  set showsFigures(shows) {
    this.#showsFigures = shows;
    this.update();
  }

  get showsFigures() {
    return this.#showsFigures;
  }

  /** What is on the screen. For tests. */
  get tiles() {
    return [...this.#tiles.values()].map((tile) => {
      const box = tile.element.getBoundingClientRect();
      return {
        id: tile.element.dataset.id, name: tile.label.textContent, isSelf: tile.element.dataset.self === 'yes', isScreen: tile.isScreen,
        hasPicture: tile.element.dataset.picture === 'yes', reason: tile.reason.textContent, isSpeaking: tile.element.dataset.speaking === 'yes',
        isShown: !tile.element.hidden, quality: tile.quality.getAttribute('aria-label'), hasHand: !tile.hand.hasAttribute('hidden'),
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
    const wanted = new Map();
    for (const person of people) {
      wanted.set(person.isSelf ? 'self' : person.id, person);
      if (!person.isSelf && person.hasScreen) wanted.set(`${person.id}:screen`, person);
    }

    for (const [key, tile] of this.#tiles) {
      if (wanted.has(key)) continue;
      tile.show(null);
      tile.element.remove();
      this.#tiles.delete(key);
      if (this.#pinned === key) this.#pinned = null;
    }
    for (const [key, person] of wanted) {
      if (!this.#tiles.has(key)) {
        const tile = makeTile(key);
        this.#tiles.set(key, tile);
        this.#list.append(tile.element);
      }
      this.#fill(this.#tiles.get(key), person);
    }
    // A screen that begins is what everybody is to look at; when it ends, the gallery is back.
    const hasScreen = [...this.#tiles.values()].some((tile) => tile.isScreen);
    if (hasScreen !== this.#hadScreen) this.mode = hasScreen ? 'speaker' : 'gallery';
    this.#hadScreen = hasScreen;
    this.#layOut();
  }

  #fill(tile, person) {
    const { element } = tile;
    element.dataset.id = person.id;
    element.dataset.key = tile.key;
    element.dataset.self = person.isSelf ? 'yes' : 'no';
    element.dataset.screen = tile.isScreen ? 'yes' : 'no';
    const track = person.isSelf ? this.#devices.video.track : tile.isScreen ? person.screenTrack : person.videoTrack;
    tile.show(track, () => this.update());
    const reason = reasonWithoutPicture(person, tile, this.#session, this.#devices);
    if (reason === null && !tile.isScreen) this.#session.notePicture(person.id);
    element.dataset.picture = reason === null ? 'yes' : 'no';
    setText(tile.reason, reason ?? '');
    const name = person.isSelf ? `${person.name} (you)` : person.name;
    setText(tile.label, tile.isScreen ? `${person.name}’s screen` : name);
    setText(tile.avatar, initialsOf(person.name));
    element.style.setProperty('--hue', hueOf(person.name));
    const isSilent = person.microphone === false || (person.microphone === undefined && !person.hasAudio);
    const isMuted = person.isSelf ? !this.#devices.audio.isOn : isSilent || person.isMutedByHost;
    tile.muted.toggleAttribute('hidden', tile.isScreen || !isMuted);
    tile.hand.toggleAttribute('hidden', tile.isScreen || !person.hand);
    tile.video.setAttribute('aria-label', person.isSelf ? 'Your own picture' : tile.isScreen ? `Screen of ${person.name}` : `Picture of ${person.name}`);
    const focusLabel = this.#pinned === tile.key ? `Show ${name} as the others` : `Show ${name} large`;
    tile.focus.setAttribute('aria-label', focusLabel);
    this.#showQuality(tile, person, reason);
  }

  #showQuality(tile, person, reason) {
    const flow = tile.isScreen ? person.screenFlow : person.videoFlow;
    const cause = tile.isScreen ? person.screenReason : person.videoReason;
    const quality = person.isSelf || reason !== null ? null : qualityOf(flow, cause);
    tile.quality.hidden = quality === null;
    if (quality) {
      tile.quality.dataset.level = quality.level;
      tile.quality.title = quality.words;
      tile.quality.setAttribute('aria-label', `Connection: ${quality.words}`);
    }
    tile.figures.hidden = !this.#showsFigures || !flow || person.isSelf || reason !== null;
    if (!tile.figures.hidden) {
      setText(tile.figures, [
        `${flow.width}×${flow.height} ${flow.codec}`, `${flow.framesPerSecond.toFixed(0)} frames/s`, `${flow.kilobitsPerSecond.toFixed(0)} kbit/s`,
        `${flow.lossPercent.toFixed(1)} % lost`, ...(cause ? [cause] : []),
      ].join('\n'));
    }
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
    const { clientWidth: width, clientHeight: height } = this.#list;
    if (width === 0 || height === 0 || this.#tiles.size === 0) return;
    this.#order = [...this.#order.filter((key) => this.#tiles.has(key)), ...[...this.#tiles.keys()].filter((key) => !this.#order.includes(key))];
    const others = this.#order.filter((key) => key !== 'self').map((key) => this.#tiles.get(key));
    if (this.mode === 'speaker' && others.length > 0) this.#layOutSpeaker(others, width, height);
    else this.#layOutGallery(others, width, height);
    this.#list.dataset.mode = this.mode;
    this.#tellSizes();
    this.dispatchEvent(new Event('change'));
  }

  #layOutGallery(others, width, height) {
    const self = this.#tiles.get('self');
    // With one other person, or on a phone, one's own picture floats in a corner and leaves the area to the others.
    const perPage = Math.max(2, Math.min(largestPage, Math.floor((width * height) / leastTileArea)));
    const isFloating = self !== undefined && (others.length === 1 || (others.length > 1 && others.length <= perPage && width < phoneWidth));
    const all = isFloating || !self ? others : [self, ...others];
    this.pageCount = Math.max(1, Math.ceil(all.length / perPage));
    this.page = Math.max(0, Math.min(this.page, this.pageCount - 1));
    if (this.pageCount > 1) this.#bringForward(all, perPage);
    const inGrid = all.slice(this.page * perPage, (this.page + 1) * perPage);
    // Every page has tiles of one size.
    const { columns, rows, width: tileWidth, height: tileHeight } = arrange(this.pageCount > 1 ? perPage : inGrid.length, width, height);
    const insetX = (width - columns * tileWidth - (columns - 1) * gap) / 2;
    const insetY = (height - rows * tileHeight - (rows - 1) * gap) / 2;
    for (const tile of this.#tiles.values()) tile.place(null);
    inGrid.forEach((tile, index) => {
      const row = Math.floor(index / columns);
      const inRow = Math.min(columns, inGrid.length - row * columns);
      // An incomplete last row stands in the middle.
      const shift = this.pageCount > 1 ? 0 : ((columns - inRow) * (tileWidth + gap)) / 2;
      tile.place({
        left: insetX + shift + (index % columns) * (tileWidth + gap), top: insetY + row * (tileHeight + gap), width: tileWidth, height: tileHeight,
      });
    });
    if (isFloating) {
      const isPhone = width < phoneWidth;
      const ownWidth = isPhone ? 104 : Math.max(104, Math.min(240, width * 0.22));
      const ownHeight = isPhone ? ownWidth * (4 / 3) : ownWidth / 1.6;
      const margin = isPhone ? 12 : 14;
      self.place({
        left: width - Math.max(0, insetX) - ownWidth - margin, top: height - Math.max(0, insetY) - ownHeight - margin,
        width: ownWidth, height: ownHeight, isFloating: true,
      });
    }
  }

  /** Who speaks is on the first page, in the place of whoever has been silent longest there. */
  #bringForward(all, perPage) {
    const position = all.findIndex((tile) => tile.key === this.#session?.speaker);
    if (position < perPage) return;
    const front = all.slice(0, perPage).filter((tile) => tile.key !== 'self' && !tile.isScreen);
    if (front.length === 0) return;
    const quietest = front.reduce((one, other) => (other.spokeAt < one.spokeAt ? other : one));
    const speaker = all[position];
    all[all.indexOf(quietest)] = speaker;
    all[position] = quietest;
    this.#order = ['self', ...all.map((tile) => tile.key).filter((key) => key !== 'self')];
  }

  /** The one that is large: who was chosen, a screen, who speaks, or the first. */
  #focused(others) {
    const find = (key) => [...this.#tiles.values()].find((tile) => tile.key === key);
    return find(this.#pinned) ?? others.findLast((tile) => tile.isScreen) ?? others.find((tile) => tile.key === this.#session?.speaker) ?? others[0];
  }

  #layOutSpeaker(others, width, height) {
    const focused = this.#focused(others);
    const row = [...this.#tiles.values()].filter((tile) => tile !== focused);
    const isUpright = width < height;
    const isBeside = !isUpright && width > 900;
    // A row beside the large picture, or below it where the area is narrow.
    const [small, smallHeight] = isBeside ? [196, 122] : [Math.min(150, width / 2.4), Math.min(100, height / 4)];
    const room = isBeside ? height : width;
    const step = (isBeside ? smallHeight : small) + gap;
    const fitting = Math.max(1, Math.floor((room + gap) / step));
    this.pageCount = Math.max(1, Math.ceil(row.length / fitting));
    this.page = Math.max(0, Math.min(this.page, this.pageCount - 1));
    const inRow = row.slice(this.page * fitting, (this.page + 1) * fitting);
    for (const tile of this.#tiles.values()) tile.place(null);
    const used = inRow.length === 0 ? 0 : (isBeside ? small : smallHeight) + gap;
    focused.place({ left: 0, top: 0, width: isBeside ? width - used : width, height: isBeside ? height : height - used });
    const start = (room - (inRow.length * step - gap)) / 2;
    inRow.forEach((tile, index) => {
      const along = start + index * step;
      tile.place(isBeside
        ? { left: width - small, top: along, width: small, height: smallHeight }
        : { left: along, top: height - smallHeight, width: small, height: smallHeight });
    });
  }

  /** Who is first when not everything fits the way here. */
  #priorityOf(tile, box) {
    if (tile.isScreen) return 'screenShare';
    if (tile.key === this.#pinned) return 'pinned';
    if (this.mode === 'gallery') return 'gallery';
    return box.width > 230 ? 'speaker' : 'thumbnail';
  }

  /** Tells the session what is seen of each picture; nothing is, while the page is hidden. */
  #tellSizes() {
    const sizes = new Map();
    for (const tile of this.#tiles.values()) {
      if (tile.key === 'self') continue;
      const { videoWidth, videoHeight } = tile.video;
      // Tiles of one size want pictures of one size, whoever is in them, where the room decides who comes in where.
      const isShaped = !this.#session?.isStaged && videoWidth > 0 && videoHeight > 0;
      const shape = isShaped ? videoWidth / videoHeight : widest;
      const box = document.hidden ? { width: 0, height: 0 } : tile.element.getBoundingClientRect();
      const size = usefulSize(box, shape, window.devicePixelRatio || 1);
      sizes.set(tile.key, size && { ...size, priority: this.#priorityOf(tile, box) });
    }
    this.#session?.showSizes(sizes);
  }
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
