// What must hold of any bytes as sound files; the tests and the fuzz targets share it.

import EnfiladeMixing
import EnfiladeWire

/// The bytes in pieces whose lengths they say themselves, so that a search finds every seam.
private func pieces(_ bytes: [UInt8]) -> [ArraySlice<UInt8>] {
  var pieces: [ArraySlice<UInt8>] = []
  var start = 0
  var count = 1 + Int(bytes.last ?? 0)
  while start < bytes.count {
    let end = min(bytes.count, start + count)
    pieces.append(bytes[start..<end])
    start = end
    count = 1 + (count * 7 + 3) % 400
  }
  return pieces
}

/// What is wrong with how bytes are read as a WAV file; `nil` for nothing.
func violation(ofWAV bytes: [UInt8]) -> String? {
  let whole = readWAV([bytes[...]])
  let parted = readWAV(pieces(bytes))
  if whole.error != parted.error {
    return "Whole it fails by \(String(describing: whole.error)), in pieces by \(String(describing: parted.error))."
  }
  if whole.error == nil, whole.samples != parted.samples { return "In pieces it is another sound." }
  if whole.samples.contains(where: { !($0 >= -1 && $0 <= 1) }) { return "A sample is beyond full scale." }
  if whole.samples.count > bytes.count { return "There are more samples than bytes." }
  if let format = whole.format, whole.samples.count % format.channelCount != 0 { return "A channel has less than the other." }
  return nil
}

private func readWAV(_ pieces: [ArraySlice<UInt8>]) -> (samples: [Float], format: WAVReader.Format?, error: SoundFileError?) {
  var reader = WAVReader()
  var samples: [Float] = []
  do throws(SoundFileError) {
    for piece in pieces { samples += try reader.read(piece) }
    return (samples, reader.format, nil)
  } catch {
    return (samples, reader.format, error)
  }
}

/// What is wrong with how bytes are read as an Ogg Opus file; `nil` for nothing.
func violation(ofOgg bytes: [UInt8]) -> String? {
  let whole = readOgg([bytes[...]])
  let parted = readOgg(pieces(bytes))
  if whole.error != parted.error {
    return "Whole it fails by \(String(describing: whole.error)), in pieces by \(String(describing: parted.error))."
  }
  if whole.error == nil, whole.packets != parted.packets { return "In pieces it has other packets." }
  if whole.packets.reduce(0, { $0 + $1.payload.count }) > bytes.count { return "There are more bytes in packets than in the file." }
  for packet in whole.packets {
    if packet.payload.isEmpty { return "A packet is empty." }
    if !(1...5_760).contains(packet.sampleCount) { return "A packet has \(packet.sampleCount) samples." }
    if !(0...packet.sampleCount).contains(packet.leading) || !(0...packet.sampleCount).contains(packet.trailing) {
      return "More is left out of a packet than there is."
    }
  }
  return nil
}

private func readOgg(_ pieces: [ArraySlice<UInt8>]) -> (packets: [FilePacket], error: SoundFileError?) {
  var reader = OggOpusReader()
  var packets: [FilePacket] = []
  do throws(SoundFileError) {
    for piece in pieces { packets += try reader.read(piece) }
    return (packets, nil)
  } catch {
    return (packets, error)
  }
}
