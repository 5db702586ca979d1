import Foundation
import KeepwellCore

/// A resource as a type of the app: what it does not name is lost when it is saved, so save with care what others wrote,
/// or patch it.
public protocol Resource: Codable {
    /// The type in FHIR.
    static var resourceType: String { get }
    /// The id; none before it is created.
    var id: String? { get }
}

extension Session {
    /// read, decoded.
    public func read<T: Resource>(_ type: T.Type, id: String) async throws -> T {
        try await work { try decode(T.self, $0.read(resourceType: T.resourceType, id: id)) }
    }

    /// update under the id of the resource, or create without one.
    @discardableResult
    public func save<T: Resource>(_ resource: T, ifMatch: Int64? = nil) async throws -> Written {
        try await work { session in
            let body = try encode(resource)
            guard let id = resource.id else { return try session.create(resourceType: T.resourceType, body: body) }
            return try session.update(resourceType: T.resourceType, id: id, body: body, ifMatch: ifMatch)
        }
    }

    /// Everything of this type that a search matches, decoded, page by page as it is asked for.
    public func matches<T: Resource>(_ type: T.Type, _ url: String) -> AsyncThrowingMapSequence<Matches, T> {
        matches(url).map { try decode(T.self, $0.body) }
    }
}

private func decode<T: Decodable>(_ type: T.Type, _ body: String) throws -> T {
    try JSONDecoder().decode(type, from: Data(body.utf8))
}

/// The JSON of a resource, with its type.
private func encode<T: Resource>(_ resource: T) throws -> String {
    let typed = Typed(resource: resource)
    return String(decoding: try JSONEncoder().encode(typed), as: UTF8.self)
}

private struct Typed<T: Resource>: Encodable {
    let resource: T

    enum Key: CodingKey { case resourceType }

    func encode(to encoder: Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        try container.encode(T.resourceType, forKey: .resourceType)
        try resource.encode(to: encoder)
    }
}
