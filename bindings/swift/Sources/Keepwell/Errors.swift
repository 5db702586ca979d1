import KeepwellCore

/// Who must act on an error.
public enum Actor: Sendable {
    /// The caller: the data, the request or the search.
    case caller
    /// The person at the device: keys, factors, locks.
    case person
    /// Whoever keeps the server, the network or the device.
    case `operator`
    /// The developers.
    case keepwell
}

extension KeepwellError {
    /// The stable code: docs/error-codes.md lists all, and so does `errorCodes()`.
    public var code: Int32 {
        switch self {
        case .Caller(let code, _, _), .Person(let code, _, _, _), .Operator(let code, _), .Keepwell(let code, _): code
        }
    }

    /// One line of English without patient data.
    public var reason: String {
        switch self {
        case .Caller(_, let reason, _), .Person(_, let reason, _, _), .Operator(_, let reason), .Keepwell(_, let reason):
            reason
        }
    }

    /// Who must act.
    public var actor: Actor {
        switch self {
        case .Caller: .caller
        case .Person: .person
        case .Operator: .operator
        case .Keepwell: .keepwell
        }
    }
}
