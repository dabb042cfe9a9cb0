// Speaks HTTP with the server: joins, offers, listens to the room's events. See docs/signaling.md.

/** A request that the server refused, or could not be asked. `status` is 0 when there was no answer. */
export class SignalingError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }

  /** The server does not know us any more: only joining again helps. */
  get isGone() {
    return this.status === 401 || this.status === 404;
  }

  /** Trying again does not help: removed, locked out, not invited. */
  get isFinal() {
    return [401, 403, 409, 423].includes(this.status);
  }
}

const requestTimeout = 10_000;
/** Longer than the server keeps who waits at a door waiting for one answer. */
const knockTimeout = 40_000;

const eventNames = [
  'snapshot', 'participant-joined', 'participant-changed', 'participant-left', 'publication-started', 'publication-ended',
  'publication-changed', 'slot-changed', 'receivers-wanted', 'encodings-wanted', 'rules-changed', 'allocation-changed', 'recording-changed', 'active-speaker',
  'knocked', 'knock-ended', 'message', 'draining', 'goodbye',
];

async function request(method, path, { type, body, token, timeout = requestTimeout } = {}) {
  const headers = {};
  if (type) headers['Content-Type'] = type;
  if (token) headers['Authorization'] = `Bearer ${token}`;
  let response;
  try {
    response = await fetch(path, { method, headers, body, cache: 'no-store', signal: AbortSignal.timeout(timeout) });
  } catch {
    throw new SignalingError(0, 'The server cannot be reached.');
  }
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  throw new SignalingError(response.status, problem.detail ?? `The server answered with ${response.status}.`);
}

/** How many people are in a room. */
export async function describeRoom(room) {
  const response = await request('GET', `/rooms/${room}`);
  return response.json();
}

/**
 * One participant's line to the server.
 *
 * Events: `signal` (detail: `{ name, data }`), `lost` (the event stream broke; it reconnects by itself), `found` (it is back),
 * `gone` (the server does not know this participant any more).
 */
export class Signaling extends EventTarget {
  #room;
  #path;
  #token;
  #events = null;
  #isLost = false;

  /**
   * Joins, and waits in front of the door for as long as it takes; `onWaiting` is told then, and `signal` ends it.
   *
   * `who` is `{ name, invite, device }`.
   */
  static async join(room, who, { onWaiting, signal } = {}) {
    const response = await request('POST', `/rooms/${room}/participants`, { type: 'application/json', body: JSON.stringify(who) });
    if (response.status !== 202) return new Signaling(room, await response.json());
    const { knock, token } = await response.json();
    const path = `/rooms/${room}/knocks/${knock}`;
    onWaiting?.();
    signal?.addEventListener('abort', () => request('DELETE', path, { token }).catch(() => {}), { once: true });
    for (let failures = 0; ;) {
      try {
        const answer = await request('GET', path, { token, timeout: knockTimeout });
        failures = 0;
        if (answer.status === 200) return new Signaling(room, await answer.json());
      } catch (error) {
        // A moment without network is not an answer.
        if (signal?.aborted || error.status !== 0 || failures >= 20) throw error;
        failures += 1;
        await new Promise((resolve) => setTimeout(resolve, 1000));
      }
    }
  }

  constructor(room, joined) {
    super();
    this.id = joined.id;
    this.receivers = joined.receivers;
    /** The invitation of a host, for who has become one by coming first. */
    this.invite = joined.invite ?? null;
    this.#room = room;
    this.#token = joined.token;
    this.#path = `/rooms/${room}/participants/${joined.id}`;
  }

  /** The right to act as this participant. */
  get token() {
    return this.#token;
  }

  async #send(method, path, value) {
    const body = value === undefined ? {} : { type: 'application/json', body: JSON.stringify(value) };
    return request(method, path, { ...body, token: this.#token });
  }

  /** Sends an offer, gives back the answer. `sections` says of each own m-line, by mid, what it shows and whether it is encrypted. */
  async offer(sdp, sections) {
    return (await this.#send('POST', `${this.#path}/offer`, { sdp, sections })).text();
  }

  /** Tells the others about oneself: `microphone`, `camera`, `hand`. */
  async tell(change) {
    await this.#send('PATCH', this.#path, change);
  }

  /** Writes to all. */
  async post(text) {
    await this.#send('POST', `${this.#path}/messages`, { text });
  }

  // What hosts do.

  async changeRules(change) {
    await this.#send('PATCH', `/rooms/${this.#room}`, change);
  }

  async decide(knock, admit) {
    await this.#send('POST', `/rooms/${this.#room}/knocks/${knock}/decision`, { admit });
  }

  async mute(participant, kind) {
    await this.#send('POST', `/rooms/${this.#room}/participants/${participant}/mute`, { kind });
  }

  async muteAll() {
    await this.#send('POST', `/rooms/${this.#room}/mute`);
  }

  async remove(participant) {
    await this.#send('DELETE', `/rooms/${this.#room}/participants/${participant}`);
  }

  async end() {
    await this.#send('DELETE', `/rooms/${this.#room}`);
  }

  /** An invitation for others; gives back its path. */
  async invite(wish) {
    return (await (await this.#send('POST', `/rooms/${this.#room}/invites`, wish)).json()).link;
  }

  /** Tells how large a picture is of use on which m-line. */
  async setConstraints(constraints) {
    await this.#send('PUT', `${this.#path}/constraints`, { constraints });
  }

  /** Tells what there is room for, in a room that is larger than the screen. */
  async setStage(stage) {
    await this.#send('PUT', `${this.#path}/stage`, stage);
  }

  async clearStage() {
    await this.#send('DELETE', `${this.#path}/stage`);
  }

  /** Tells how the others are to be heard: `forwarded`, each by itself, or `mixed`, all as one sound. */
  async setAudio(mode) {
    await this.#send('PUT', `${this.#path}/audio`, { mode });
  }

  listen() {
    const events = new EventSource(`${this.#path}/events?token=${this.#token}`);
    this.#events = events;
    events.onopen = () => this.#setLost(false);
    events.onerror = () => {
      if (this.#events !== events) return;
      // The browser reconnects by itself after a broken connection, but not after an HTTP error.
      if (events.readyState === EventSource.CLOSED) this.dispatchEvent(new Event('gone'));
      else this.#setLost(true);
    };
    for (const name of eventNames) {
      events.addEventListener(name, (event) => {
        const data = JSON.parse(event.data);
        if (name === 'goodbye') this.dispatchEvent(new CustomEvent('gone', { detail: data.reason }));
        else this.dispatchEvent(new CustomEvent('signal', { detail: { name, data } }));
      });
    }
  }

  /** Stops listening, without leaving the room. */
  close() {
    this.#events?.close();
    this.#events = null;
  }

  /** Leaves the room. Works while the page is being closed. */
  leave() {
    this.close();
    const path = `${this.#path}/leave?token=${this.#token}`;
    if (!navigator.sendBeacon?.(path)) fetch(path, { method: 'POST', keepalive: true }).catch(() => {});
  }

  #setLost(isLost) {
    if (this.#isLost === isLost) return;
    this.#isLost = isLost;
    this.dispatchEvent(new Event(isLost ? 'lost' : 'found'));
  }
}
