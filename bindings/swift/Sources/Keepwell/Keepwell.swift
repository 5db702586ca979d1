// The objects of Keepwell, made from the library, and what Swift does better: sequences, Codable, the keychain.
@_exported import KeepwellCore
