"""Pictures for the load client to send: encoded by a browser, written as IVF files."""

import base64

#: The encodings, the smallest first: width, height, kbit/s.
SIZES = ((160, 90, 100), (320, 180, 250), (640, 360, 700))

_ENCODE = """
(async () => {
  const [width, height, kilobits, hue, frames, rate] = PARAMETERS;
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext('2d');
  const chunks = [];
  const encoder = new VideoEncoder({
    output: (chunk) => { const bytes = new Uint8Array(chunk.byteLength); chunk.copyTo(bytes); chunks.push(bytes); },
    error: (error) => { throw error; },
  });
  encoder.configure({ codec: 'vp8', width, height, bitrate: kilobits * 1000, framerate: rate, latencyMode: 'realtime' });
  for (let index = 0; index < frames; index += 1) {
    const turn = (index / frames) * 2 * Math.PI;
    context.fillStyle = `hsl(${hue} 45% 32%)`;
    context.fillRect(0, 0, width, height);
    context.fillStyle = `hsl(${hue} 60% 74%)`;
    context.beginPath();
    context.arc(width / 2, height * 0.42, height * (0.19 + 0.01 * Math.sin(turn)), 0, 7);
    context.fill();
    context.beginPath();
    context.ellipse(width / 2, height * 1.02, height * 0.42, height * 0.38, 0, 0, 7);
    context.fill();
    context.fillStyle = `hsl(${hue} 30% 18%)`;
    for (const side of [-1, 1]) context.fillRect(width / 2 + side * height * 0.08 + Math.sin(turn) * height * 0.03, height * 0.38, height * 0.03, height * 0.05);
    context.fillRect(width / 2 - height * 0.06, height * 0.5, height * 0.12, height * (0.02 + 0.02 * Math.abs(Math.sin(3 * turn))));
    const frame = new VideoFrame(canvas, { timestamp: (index * 1e6) / rate });
    encoder.encode(frame, { keyFrame: index === 0 });
    frame.close();
  }
  await encoder.flush();
  const size = 32 + chunks.reduce((sum, chunk) => sum + 12 + chunk.length, 0);
  const file = new DataView(new ArrayBuffer(size));
  'DKIF'.split('').forEach((letter, index) => file.setUint8(index, letter.charCodeAt(0)));
  'VP80'.split('').forEach((letter, index) => file.setUint8(8 + index, letter.charCodeAt(0)));
  file.setUint16(6, 32, true);
  file.setUint16(12, width, true);
  file.setUint16(14, height, true);
  file.setUint32(16, rate, true);
  file.setUint32(20, 1, true);
  file.setUint32(24, chunks.length, true);
  let offset = 32;
  chunks.forEach((chunk, index) => {
    file.setUint32(offset, chunk.length, true);
    file.setUint32(offset + 4, index, true);
    new Uint8Array(file.buffer).set(chunk, offset + 12);
    offset += 12 + chunk.length;
  });
  let text = '';
  for (const byte of new Uint8Array(file.buffer)) text += String.fromCharCode(byte);
  return btoa(text);
})()
"""


def record(browser, folder, people, frames=45, rate=15):
    """Draws and encodes as many people as are asked for, in three sizes each; gives the files, the smallest of each first."""
    files = []
    for person in range(people):
        for width, height, kilobits in SIZES:
            parameters = [width, height, kilobits, person * 360 // people, frames, rate]
            text = browser.evaluate(_ENCODE.replace("PARAMETERS", str(parameters)))
            files.append(folder / f"{person}-{height}.ivf")
            files[-1].write_bytes(base64.b64decode(text))
    return files
