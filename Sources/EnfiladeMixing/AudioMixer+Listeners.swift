// Who hears which mixture. Settled anew only when a speaker, a listener or a volume changes.

import EnfiladeRTP
import EnfiladeWire

extension AudioMixer {
  /// Gives every listener the mixture that is his, and tells who moved.
  mutating func settleListeners() {
    guard isStale else { return }
    isStale = false
    // A personal mixture begins like the one it comes from, so that one is found first.
    for index in 0..<variants.count { variants[index].listenerCount = 0 }
    for index in listeners.indices {
      let audience = audience(of: listeners[index])
      var variant = listeners[index].variant
      if variant < 0 || variants[Int(variant)].audience != audience {
        let codec = listeners[index].codec
        let found = self.variant(for: audience, codec) ?? self.variant(for: fallback(of: listeners[index]), codec)
        guard let found else { continue }
        if variants[found].listenerCount == 0 || Int32(found) != variant { variants[found].isEntered = true }
        if Int32(found) != variant { moves.append(Move(listener: listeners[index].id, variant: found)) }
        variant = Int32(found)
        listeners[index].variant = variant
      }
      variants[Int(variant)].listenerCount += 1
    }
    for index in 0..<variants.count where variants[index].listenerCount == 0 { variants[index].audience = nil }
  }

  private func audience(of listener: Listener) -> MixVariant.Audience {
    var isSpeaking = false
    var hasOwnVolumes = false
    for index in 0..<playouts.count where playouts[index].source >= 0 && (playouts[index].gain > 0 || playouts[index].next > 0) {
      guard let source = sources[Int(playouts[index].source)] else { continue }
      if source.owner == listener.owner { isSpeaking = true }
      if !listener.gains.isEmpty, listener.gains[source.id] != nil { hasOwnVolumes = true }
    }
    if hasOwnVolumes { return .personal(listener: listener.id, owner: listener.owner) }
    return isSpeaking ? .without(listener.owner) : .everybody
  }

  /// What somebody hears when there is no room for a mixture of his own: at least never himself.
  private mutating func fallback(of listener: Listener) -> MixVariant.Audience {
    statistics.crowded &+= 1
    return .without(listener.owner)
  }

  /// The mixture for an audience in the codec that it takes, made if need be; `nil` when there are too many.
  private mutating func variant(for audience: MixVariant.Audience, _ codec: Codec) -> Int? {
    var free: Int?
    for index in 0..<variants.count where variants[index].codec == codec {
      if variants[index].audience == audience { return index }
      if variants[index].audience == nil, free == nil { free = index }
    }
    if let free {
      variants[free].audience = audience
      variants[free].encoder.reset()
      variants[free].lastGains = InlineArray(repeating: 1)
      inherit(free)
      return free
    }
    // The last place is for those who must not hear themselves.
    let limit = if case .personal = audience { Limits.mixVariantCount - Limits.mixSourceCount - 1 } else { Limits.mixVariantCount }
    guard variants.count < limit else { return nil }
    let encoder: any AudioEncoder
    do {
      var settings = configuration.encoder
      settings.codec = codec
      encoder = try codecs.makeEncoder(settings)
    } catch {
      statistics.codecFailures &+= 1
      return nil
    }
    variants.append(MixVariant(codec: codec, encoder: encoder, channelCount: configuration.encoder.channelCount))
    let made = variants.count - 1
    variants[made].audience = audience
    inherit(made)
    if effort > 0 { setEffort(effort) }
    return made
  }

  /// A new mixture goes on where the one for everybody stands: until now they were the same.
  private mutating func inherit(_ index: Int) {
    variants[index].isEntered = true
    for other in 0..<variants.count where other != index && variants[other].audience == .everybody {
      Self.inherit(&variants, from: other, to: index)
      return
    }
    variants[index].limiter.reset()
    variants[index].noiseGain = 0
  }

  private static func inherit(_ variants: inout UniqueArray<MixVariant>, from source: Int, to target: Int) {
    variants[target].noiseGain = variants[source].noiseGain
    // Two elements of one array: one is taken out of the way while the other is looked at.
    var limiter = Limiter(channelCount: 1)
    swap(&limiter, &variants[target].limiter)
    limiter.copyState(of: variants[source].limiter)
    swap(&limiter, &variants[target].limiter)
  }
}
