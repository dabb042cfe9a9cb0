// An experiment as a value. With a seed it is repeatable to the byte.

/// Links, flows and a length of time.
public struct Scenario: Hashable, Sendable {
  /// A short name, for the command line.
  public var name: String
  /// What it shows.
  public var title: String
  /// The links; flows name them by index.
  public var links: [LinkModel]
  /// The flows.
  public var flows: [FlowModel]
  /// How long it runs.
  public var durationSeconds: Double

  /// An experiment of so many seconds.
  public init(name: String, title: String, durationSeconds: Double, links: [LinkModel], flows: [FlowModel]) {
    self.name = name
    self.title = title
    self.durationSeconds = durationSeconds
    self.links = links
    self.flows = flows
  }

  /// The same with all media under other rules.
  public func controlled(by control: MediaModel.Control) -> Scenario {
    var copy = self
    for index in copy.flows.indices {
      if case .media(var media) = copy.flows[index].kind {
        media.control = control
        copy.flows[index].kind = .media(media)
      }
    }
    return copy
  }

  /// The same with all subscribers reporting in another format.
  public func reporting(_ feedback: MediaModel.Feedback) -> Scenario {
    var copy = self
    for index in copy.flows.indices {
      if case .media(var media) = copy.flows[index].kind {
        media.feedback = feedback
        copy.flows[index].kind = .media(media)
      }
    }
    return copy
  }
}
