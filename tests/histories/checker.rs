//! The checker judged in turn, by histories made by hand, each wrong in one way.
