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
}

const requestTimeout = 10_000;

const eventNames = [
  'snapshot', 'participant-joined', 'participant-changed', 'participant-left', 'publication-started', 'publication-ended',
  'slot-changed', 'receivers-wanted', 'encodings-wanted', 'goodbye',
];

async function request(method, path, { type, body, token } = {}) {
  const headers = {};
  if (type) headers['Content-Type'] = type;
  if (token) headers['Authorization'] = `Bearer ${token}`;
  let response;
  try {
    response = await fetch(path, { method, headers, body, cache: 'no-store', signal: AbortSignal.timeout(requestTimeout) });
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
  #path;
  #token;
  #events = null;
  #isLost = false;

  static async join(room, name) {
    const response = await request('POST', `/rooms/${room}/participants`, { type: 'application/json', body: JSON.stringify({ name }) });
    return new Signaling(room, await response.json());
  }

  constructor(room, joined) {
    super();
    this.id = joined.id;
    this.receivers = joined.receivers;
    this.#token = joined.token;
    this.#path = `/rooms/${room}/participants/${joined.id}`;
  }

  /** Sends an offer, gives back the answer. */
  async offer(sdp) {
    const response = await request('POST', `${this.#path}/offer`, { type: 'application/sdp', body: sdp, token: this.#token });
    return response.text();
  }

  /** Tells the others whether microphone and camera are on. */
  async setDevices(devices) {
    await request('PATCH', this.#path, { type: 'application/json', body: JSON.stringify(devices), token: this.#token });
  }

  /** Tells how large a picture is of use on which m-line. */
  async setConstraints(constraints) {
    await request('PUT', `${this.#path}/constraints`, { type: 'application/json', body: JSON.stringify({ constraints }), token: this.#token });
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
        if (name === 'goodbye') this.dispatchEvent(new Event('gone'));
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
