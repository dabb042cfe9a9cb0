// End-to-end encryption: frames are encrypted before the browser makes packets of them, with a key that stands in the link's fragment and so
// reaches no server (https://www.w3.org/TR/webrtc-encoded-transform/).

/** A new key, as it stands in a link: 128 random bits in base64url. */
export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return btoa(String.fromCharCode(...bytes)).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}

/** The fragment of a link, as a map: `#invite=…&key=…`. */
export function fragmentOf(hash) {
  return new URLSearchParams(hash.replace(/^#/, ''));
}

export class Encryption extends EventTarget {
  #worker;
  #key;
  /** Whether frames came that the key does not open. */
  isFailing = false;

  static get isPossible() {
    return typeof RTCRtpScriptTransform === 'function';
  }

  constructor(key) {
    super();
    this.#key = key;
    this.#worker = new Worker('/page/e2ee-worker.js', { type: 'module' });
    this.#worker.onmessage = ({ data }) => {
      this.isFailing = data.isFailing;
      this.dispatchEvent(new Event('change'));
    };
  }

  protect(sender, kind) {
    sender.transform = new RTCRtpScriptTransform(this.#worker, { operation: 'encrypt', key: this.#key, kind });
  }

  open(receiver, kind) {
    receiver.transform = new RTCRtpScriptTransform(this.#worker, { operation: 'decrypt', key: this.#key, kind });
  }

  close() {
    this.#worker.terminate();
  }
}
