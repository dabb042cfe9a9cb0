// Encrypts and decrypts single frames with AES-GCM.
//
//   clear beginning | ciphertext and tag | initialization vector (12 bytes)
//
// The beginning stays clear, and is authenticated, as far as a server needs it to tell key frames and sizes: ten bytes of a key frame of VP8 and
// three of another (RFC 6386 §9.1), and one of Opus (RFC 6716 §3.1).

const vectorLength = 12;

/** Every stream draws eight bytes of its own and counts; so no vector comes twice under the shared key. */
class Vectors {
  #bytes = crypto.getRandomValues(new Uint8Array(vectorLength));
  #count = 0;

  next() {
    const vector = this.#bytes.slice();
    new DataView(vector.buffer).setUint32(8, this.#count);
    this.#count += 1;
    // After 2³² frames, years of video, another stream begins.
    if (this.#count > 0xffffffff) {
      this.#bytes = crypto.getRandomValues(new Uint8Array(vectorLength));
      this.#count = 0;
    }
    return vector;
  }
}

async function keyFrom(text) {
  const bytes = Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (character) => character.charCodeAt(0));
  const material = await crypto.subtle.importKey('raw', bytes, 'HKDF', false, ['deriveKey']);
  const parameters = { name: 'HKDF', hash: 'SHA-256', salt: new Uint8Array(), info: new TextEncoder().encode('enfilade-meet frames') };
  return crypto.subtle.deriveKey(parameters, material, { name: 'AES-GCM', length: 128 }, false, ['encrypt', 'decrypt']);
}

function clearLength(frame, kind) {
  if (kind === 'audio') return 1;
  return frame.type === 'key' ? 10 : 3;
}

const algorithm = (iv, additionalData) => ({ name: 'AES-GCM', iv, additionalData });

function encryptor(key, kind) {
  const vectors = new Vectors();
  return async (frame, controller) => {
    const bytes = new Uint8Array(frame.data);
    const length = Math.min(clearLength(frame, kind), bytes.length);
    const clear = bytes.slice(0, length);
    const vector = vectors.next();
    const sealed = new Uint8Array(await crypto.subtle.encrypt(algorithm(vector, clear), await key, bytes.subarray(length)));
    const out = new Uint8Array(length + sealed.length + vectorLength);
    out.set(clear);
    out.set(sealed, length);
    out.set(vector, length + sealed.length);
    frame.data = out.buffer;
    controller.enqueue(frame);
  };
}

let isFailing = false;

function tell(fails) {
  if (fails === isFailing) return;
  isFailing = fails;
  postMessage({ isFailing });
}

function decryptor(key, kind) {
  return async (frame, controller) => {
    const bytes = new Uint8Array(frame.data);
    const length = clearLength(frame, kind);
    if (bytes.length < length + 16 + vectorLength) return;
    const clear = bytes.slice(0, length);
    const vector = bytes.slice(bytes.length - vectorLength);
    let opened;
    try {
      opened = await crypto.subtle.decrypt(algorithm(vector, clear), await key, bytes.subarray(length, bytes.length - vectorLength));
    } catch {
      // Not for our key, or not genuine: it is not shown.
      tell(true);
      return;
    }
    tell(false);
    const out = new Uint8Array(length + opened.byteLength);
    out.set(clear);
    out.set(new Uint8Array(opened), length);
    frame.data = out.buffer;
    controller.enqueue(frame);
  };
}

self.onrtctransform = ({ transformer }) => {
  const { operation, key: text, kind } = transformer.options;
  const key = keyFrom(text);
  const transform = operation === 'encrypt' ? encryptor(key, kind) : decryptor(key, kind);
  transformer.readable.pipeThrough(new TransformStream({ transform })).pipeTo(transformer.writable).catch(() => {});
};
