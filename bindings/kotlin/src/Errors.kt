package keepwell

/** Who must act on an error. */
enum class Actor {
    /** The caller: the data, the request or the search. */
    CALLER,

    /** The person at the device: keys, factors, locks. */
    PERSON,

    /** Whoever keeps the server, the network or the device. */
    OPERATOR,

    /** The developers. */
    KEEPWELL,
}

/** The stable code: docs/error-codes.md lists all, and so does [errorCodes]. */
val KeepwellException.code: Int
    get() = when (this) {
        is KeepwellException.Caller -> this.code
        is KeepwellException.Person -> this.code
        is KeepwellException.Operator -> this.code
        is KeepwellException.Keepwell -> this.code
    }

/** One line of English without patient data. */
val KeepwellException.reason: String
    get() = when (this) {
        is KeepwellException.Caller -> this.reason
        is KeepwellException.Person -> this.reason
        is KeepwellException.Operator -> this.reason
        is KeepwellException.Keepwell -> this.reason
    }

/** Who must act. */
val KeepwellException.actor: Actor
    get() = when (this) {
        is KeepwellException.Caller -> Actor.CALLER
        is KeepwellException.Person -> Actor.PERSON
        is KeepwellException.Operator -> Actor.OPERATOR
        is KeepwellException.Keepwell -> Actor.KEEPWELL
    }
