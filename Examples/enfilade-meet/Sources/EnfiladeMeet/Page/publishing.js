// How the camera's picture is sent: with which codec, and in which sizes at once.

const codecs = ['VP8', 'H264', 'VP9', 'AV1'];

/**
 * `?codec=VP9` sends that codec; `?mode=L3T3_KEY` sends one stream with layers inside (https://www.w3.org/TR/webrtc-svc/) instead of three
 * streams of different sizes.
 *
 * Without them: three streams of VP8. Every browser encodes and decodes it, in hardware or cheaply without, and each of its sizes can be
 * paused; layers inside one stream save the publisher's uplink some bits, but only newer browsers send them.
 */
export function publishingWish(search) {
  const query = new URLSearchParams(search);
  const codec = codecs.find((name) => name === query.get('codec')?.toUpperCase()) ?? 'VP8';
  const mode = query.get('mode')?.match(/^[LS][123]T[123](h|_KEY|_KEY_SHIFT)?$/)?.[0] ?? null;
  return { codec, mode };
}

/** About what a codec needs for a picture that moves little, as people before a camera do; fewer frames cost each hardly less. */
const bitsPerPixelAndSecond = 2;
const leastBitrate = 100_000;

/** Chromium leaves out the largest where a picture is too small for all, so no more are asked for. */
function encodingCount(width, height) {
  if (width * height >= 960 * 540) return 3;
  return width * height >= 480 * 270 ? 2 : 1;
}

/** The `sendEncodings` for a camera's track: a quarter, a half and the whole of its width, in this order, as far as it is large enough. */
export function encodingsFor({ codec, mode }, track) {
  const { width = 1280, height = 720 } = track.getSettings();
  const bitrate = (scale) => Math.round(Math.max(leastBitrate, (width * height * bitsPerPixelAndSecond) / scale ** 2));
  // The smaller pictures inside a stream are paid for as well.
  if (mode) return [{ scalabilityMode: mode, maxBitrate: Math.round(bitrate(1) * 1.4) }];
  // Frames that can be left out are marked in VP8, VP9 and AV1. H.264 has no mark that everybody sends, so there they would only cost.
  const layers = codec === 'H264' ? {} : { scalabilityMode: 'L1T3' };
  const count = encodingCount(width, height);
  if (count === 1) return [{ maxBitrate: bitrate(1), ...layers }];
  return [['q', 4], ['h', 2], ['f', 1]].slice(-count).map(([rid, scale]) => (
    { rid, scaleResolutionDownBy: scale, maxBitrate: bitrate(scale), ...layers }
  ));
}

/**
 * Offers to receive what tells layers apart without looking into the payload. Chromium offers that by itself only where it sends layers, and
 * AV1 with layers cannot be decoded without.
 */
export function offerDependencyDescriptor(transceiver) {
  const extensions = transceiver.getHeaderExtensionsToNegotiate?.();
  const descriptor = extensions?.find(({ uri }) => uri.includes('dependency-descriptor'));
  if (!descriptor) return;
  descriptor.direction = 'sendrecv';
  transceiver.setHeaderExtensionsToNegotiate(extensions);
}

const repair = ['VIDEO/RTX', 'VIDEO/RED', 'VIDEO/ULPFEC', 'VIDEO/FLEXFEC-03'];

/**
 * Offers one codec alone, where the browser has it and lets pages choose: of several, the answer's first would be sent, and the server has
 * no reason to prefer one.
 */
export function offerOnly(transceiver, codec) {
  const all = RTCRtpSender.getCapabilities?.('video')?.codecs ?? [];
  const named = (names) => all.filter(({ mimeType }) => names.includes(mimeType.toUpperCase()));
  const wished = named([`VIDEO/${codec}`]);
  if (transceiver.setCodecPreferences && wished.length > 0) transceiver.setCodecPreferences([...wished, ...named(repair)]);
}

/** Whether anybody in a meeting sends it: one profile of each codec but H.264, of which some only encode one, and that in packets of any size. */
function isOfUse({ mimeType, sdpFmtpLine = '' }) {
  const setting = (name) => sdpFmtpLine.match(new RegExp(`(?:^|;)\\s*${name}=([^;]+)`))?.[1];
  switch (mimeType.toUpperCase()) {
    case 'VIDEO/VP8':
    case 'VIDEO/RTX':
      return true;
    case 'VIDEO/VP9':
      return (setting('profile-id') ?? '0') === '0';
    case 'VIDEO/AV1':
      return (setting('profile') ?? '0') === '0';
    case 'VIDEO/H264':
      return setting('packetization-mode') === '1';
    default:
      return false;
  }
}

/** Offers to receive only what may come: a description with every codec a browser knows on each of dozens of m-lines is a book. */
export function offerUseful(transceiver) {
  const useful = (RTCRtpReceiver.getCapabilities?.('video')?.codecs ?? []).filter(isOfUse);
  if (transceiver.setCodecPreferences && useful.length > 1) transceiver.setCodecPreferences(useful);
}

/** Sends the encodings of these names and pauses the others. */
export async function sendOnly(sender, rids) {
  const parameters = sender.getParameters();
  let isChanged = false;
  for (const encoding of parameters.encodings) {
    if (encoding.rid === undefined) continue;
    const isWanted = rids.includes(encoding.rid);
    isChanged ||= encoding.active !== isWanted;
    encoding.active = isWanted;
  }
  if (isChanged) await sender.setParameters(parameters);
}
