// Headers that many subscribers are sent alike: written once for each packet, then copied, with three numbers put in.

import EnfiladeRTP
import EnfiladeTransport
import EnfiladeWire

/// The headers of the packets of this turn, as subscribers of one class are sent them. A class is a set of negotiated extensions; who is still
/// to learn its MID is written to by itself. A place belongs to one packet and remembers the last class that asked: subscribers of one kind of
/// client follow one another often enough, and when they do not, a header is written anew.
@safe struct PreparedHeaders: ~Copyable {
  /// Longer headers are written for each subscriber.
  static let headerByteCount = 64
  /// Kinds of clients in one shard. What comes after is written for each subscriber.
  static let classLimit = 255
  /// As many as a turn has packets, repairs included.
  static let placeCount = 2 * IngressStage.capacity

  private struct PlanKey: Hashable {
    var map: ExtensionMap
    var form: ExtensionForm
    var copied: ExtensionKinds
  }

  @safe struct Place {
    /// Class, payload type, marker and padding.
    var key: UInt32
    var headerByteCount: UInt8
    /// Where the transport-wide number stands, or zero for a header without one.
    var transportOffset: UInt8
    var payloadByteCount: UInt16
    /// In the packet's slot, which the turn holds.
    var payload: UnsafeRawPointer
  }

  private let places: UnsafeMutablePointer<Place>
  private let headers: UnsafeMutableRawPointer
  private var plans: [PlanKey] = []

  init() {
    // Sound: allocated once, freed in deinit; places are trivial.
    unsafe headers = .allocate(byteCount: Self.placeCount * Self.headerByteCount, alignment: 64)
    unsafe headers.initializeMemory(as: UInt8.self, repeating: 0, count: Self.placeCount * Self.headerByteCount)
    unsafe places = .allocate(capacity: Self.placeCount)
    unsafe places.initialize(
      repeating: Place(key: Self.noKey, headerByteCount: 0, transportOffset: 0, payloadByteCount: 0, payload: UnsafeRawPointer(headers)),
      count: Self.placeCount
    )
  }

  deinit {
    unsafe places.deallocate()
    unsafe headers.deallocate()
  }

  /// The class of streams with this plan: the same for all that differ in their MID only; zero when there are too many.
  mutating func planClass(of plan: ExtensionPlan) -> UInt16 {
    let key = PlanKey(map: plan.map, form: plan.form, copied: plan.copied)
    if let known = plans.firstIndex(of: key) { return UInt16(known + 1) }
    guard plans.count < Self.classLimit else { return 0 }
    plans.append(key)
    return UInt16(plans.count)
  }

  /// No stream asks for this: there is no such class.
  private static let noKey = UInt32.max

  /// What a header depends on beside its packet.
  static func key(planClass: UInt16, payloadType: PayloadType, marker: Bool, hasPadding: Bool, isStripped: Bool) -> UInt32 {
    UInt32(planClass) << 16 | (isStripped ? 1 << 9 : 0) | UInt32(payloadType.rawValue) << 2 | (marker ? 2 : 0) | (hasPadding ? 1 : 0)
  }

  /// The header of the packet at `packet`, if it was the last one prepared there.
  @inline(__always)
  func find(_ packet: Int, _ key: UInt32) -> Place? {
    guard packet >= 0, packet < Self.placeCount else { return nil }
    // Sound: checked above.
    let place = unsafe places[packet]
    return place.key == key ? place : nil
  }

  /// Puts a prepared header at `destination`, where there is room for ``headerByteCount`` bytes, with the numbers of one stream in it.
  @unsafe @inline(__always)
  func copy(
    _ packet: Int, to destination: UnsafeMutableRawPointer, ssrc: SSRC, sequence: SequenceNumber, timestamp: RTPTimestamp
  ) {
    unsafe destination.copyMemory(from: headers + packet &* Self.headerByteCount, byteCount: Self.headerByteCount)
    unsafe destination.storeBytes(of: sequence.rawValue.bigEndian, toByteOffset: 2, as: UInt16.self)
    unsafe destination.storeBytes(of: timestamp.rawValue.bigEndian, toByteOffset: 4, as: UInt32.self)
    unsafe destination.storeBytes(of: ssrc.rawValue.bigEndian, toByteOffset: 8, as: UInt32.self)
  }

  /// Remembers a header that was just written, if it is short enough.
  @unsafe
  mutating func remember(
    _ packet: Int, _ key: UInt32, header: UnsafeRawPointer, headerByteCount: Int, isNumbered: Bool, payload: UnsafeRawPointer,
    payloadByteCount: Int
  ) {
    guard packet >= 0, packet < Self.placeCount, headerByteCount <= Self.headerByteCount else { return }
    // Sound: checked above.
    unsafe (headers + packet * Self.headerByteCount).copyMemory(from: header, byteCount: headerByteCount)
    // The number is the first element of a header that names no section: behind the contributors (RFC 3550 §5.1), the extension's header and
    // its own, which the form makes one byte long or two (RFC 8285 §4.2, §4.3).
    let fixed = 12 + 4 * Int(unsafe header.load(as: UInt8.self) & 0x0F)
    let isOneByte = isNumbered ? unsafe header.load(fromByteOffset: fixed, as: UInt8.self) == 0xBE : false
    let offset = isNumbered ? fixed + (isOneByte ? 5 : 6) : 0
    unsafe places[packet] = Place(
      key: key, headerByteCount: UInt8(headerByteCount), transportOffset: UInt8(offset), payloadByteCount: UInt16(payloadByteCount),
      payload: payload)
  }

  /// Forgets the first `count` packets' headers: their turn is over.
  mutating func forget(_ count: Int) {
    // Sound: below the number of places.
    for packet in 0..<min(count, Self.placeCount) { unsafe places[packet].key = Self.noKey }
  }
}
