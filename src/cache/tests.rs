//! What the cache promises, rule by rule.
