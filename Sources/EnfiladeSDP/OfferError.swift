// Why a description cannot be answered (RFC 9429 §5.8.3, RFC 9143 §7, RFC 8842 §5).

/// What an offer, or an answer to our own offer, lacks. A section is named by its index, because its mid may be what is wrong.
package enum OfferError: Error, Hashable, Sendable {
  /// The text is no session description.
  case syntax(SDPError)
  case noMediaSection
  /// More than one section is alive and none is bundled: we have one transport.
  case noBundle
  case missingMID(section: Int)
  case duplicateMID(String)
  /// The group names a section that does not exist.
  case unknownMIDInBundle(String)
  case noRTCPMux(section: Int)
  case missingICECredentials(section: Int)
  case missingFingerprint(section: Int)
  /// Fingerprints are there, but of hash functions that no longer hold.
  case weakFingerprint(section: Int)
  /// `holdconn`, or in an answer `actpass`.
  case unusableSetup(section: Int)
  /// A format of an RTP section is not a payload type.
  case malformedFormat(section: Int, String)
  /// Two sections of the bundle give one payload type to different codecs (RFC 9143 §9.1).
  case payloadTypeCollision(UInt8)
  /// Two sections of the bundle give one number to different header extensions (RFC 8285 §5 with RFC 9143 §9).
  case extensionCollision(UInt16)
  /// The answer has another number of sections than the offer (RFC 3264 §6).
  case sectionCountMismatch
}

extension OfferError: CustomStringConvertible {
  package var description: String {
    switch self {
    case .syntax(let error): error.description
    case .noMediaSection: "no media section"
    case .noBundle: "the sections are not bundled (a=group:BUNDLE), and there is one transport"
    case .missingMID(let section): "section \(section) has no a=mid"
    case .duplicateMID(let mid): "two sections have the mid \(mid)"
    case .unknownMIDInBundle(let mid): "the group names mid \(mid), which no section has"
    case .noRTCPMux(let section): "section \(section) does not multiplex RTCP (a=rtcp-mux)"
    case .missingICECredentials(let section): "section \(section) has no a=ice-ufrag and a=ice-pwd"
    case .missingFingerprint(let section): "section \(section) has no a=fingerprint"
    case .weakFingerprint(let section): "section \(section) has no fingerprint of the SHA-2 family"
    case .unusableSetup(let section): "section \(section) has an a=setup that cannot be answered"
    case .malformedFormat(let section, let format): "section \(section) has the format \(format), which is no payload type"
    case .payloadTypeCollision(let number): "payload type \(number) stands for two codecs"
    case .extensionCollision(let number): "header extension number \(number) stands for two extensions"
    case .sectionCountMismatch: "the answer has another number of sections than the offer"
    }
  }
}
