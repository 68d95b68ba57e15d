//! The labels whose values are known beforehand.

/// A label: its name, and all the values it can take.
pub(super) trait Label: Copy {
    const NAME: &'static str;
    const VALUES: &'static [&'static str];

    /// Its place among the values.
    fn place(self) -> usize;

    fn as_str(self) -> &'static str;
}

macro_rules! label {
    (
        $(#[$attribute:meta])*
        $label:ident as $name:literal { $($(#[$value_attribute:meta])* $value:ident = $text:literal),+ $(,)? }
    ) => {
        $(#[$attribute])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $label {
            $($(#[$value_attribute])* $value),+
        }

        impl Label for $label {
            const NAME: &'static str = $name;
            const VALUES: &'static [&'static str] = &[$($text),+];

            fn place(self) -> usize {
                self as usize
            }

            fn as_str(self) -> &'static str {
                match self {
                    $(Self::$value => $text),+
                }
            }
        }
    };
}

label! {
    /// What an introspection found.
    IntrospectionResult as "result" {
        /// The token lives.
        Active = "active",
        /// The token lives, but has not the scopes asked for.
        DeniedScope = "denied_scope",
        /// What was presented is no token string.
        Malformed = "malformed",
        /// Its tag is not one of ours.
        Forged = "forged",
        /// Its tag is ours, but there is no such token.
        Unknown = "unknown",
        /// It belongs to another workspace than the one asked about.
        OtherWorkspace = "other_workspace",
        /// Its time is over.
        Expired = "expired",
        /// It was revoked.
        Revoked = "revoked",
        /// It was regenerated, and this is an old secret.
        Superseded = "superseded",
        /// Its secret was invalidated with all others of its workspace or key.
        Invalidated = "invalidated",
        /// Its principal is disabled or deleted.
        PrincipalDisabled = "principal_disabled",
        /// It is suspended.
        Suspended = "suspended",
        /// It was presented to another audience than its own.
        OtherAudience = "other_audience",
        /// It was used from an address that is not allowed to it.
        OtherAddress = "other_address",
        /// Nobody can know just now.
        Undecided = "undecided",
    }
}

label! {
    /// What argon2id ran for.
    Argon2Purpose as "purpose" {
        /// To hash a new secret.
        Hash = "hash",
        /// To verify a presented one.
        Verify = "verify",
    }
}

label! {
    /// Why a caller was turned away.
    CallerRejection as "reason" {
        /// It presented no token.
        Missing = "missing",
        /// What it presented is no token string.
        Malformed = "malformed",
        /// Its tag is not one of ours.
        Forged = "forged",
        /// There is no such token.
        Unknown = "unknown",
        /// Its token has expired, was revoked, or was regenerated.
        Inactive = "inactive",
        /// Its token lives, but does not allow what it asked for.
        Forbidden = "forbidden",
        /// Nobody can know just now.
        Undecided = "undecided",
    }
}

label! {
    /// Why a stream of revocations ended.
    WatcherEnd as "reason" {
        /// The client went away.
        ClientLeft = "client_left",
        /// The client did not take its events in time.
        TooSlow = "too_slow",
        /// The client lost the right to watch.
        Forbidden = "forbidden",
        /// The events after its cursor are no longer kept, or its cursor is not of this history.
        CursorLost = "cursor_lost",
        /// The server is stopping.
        Draining = "draining",
        /// The log could not be read.
        Failed = "failed",
    }
}

label! {
    /// What became of a write of last uses.
    FlushResult as "result" {
        /// They are in the database.
        Written = "written",
        /// The database did not take them; they will be tried again.
        Failed = "failed",
    }
}

label! {
    /// What became of a heartbeat.
    HeartbeatResult as "result" {
        /// The database has committed it.
        Confirmed = "confirmed",
        /// The database did not commit it in time.
        Failed = "failed",
        /// Others had taken this server for dead.
        RowLost = "row_lost",
        /// The database was another than before, by failover or restore.
        Moved = "moved",
    }
}

label! {
    /// How a wait for the whole fleet ended.
    FleetWait as "result" {
        /// Every server and sidecar has applied the change.
        Acknowledged = "acknowledged",
        /// Every lease from before the change has run out.
        RanOut = "ran_out",
    }
}
