//! Where a schedule gets its choices from: a seed, so that every schedule can be run again.

/// `SplitMix64`: small, and the same for ever.
#[derive(Debug, Clone)]
pub(crate) struct Choices(u64);

impl Choices {
    pub(crate) const fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    /// One of `0..of`.
    pub(crate) fn pick(&mut self, of: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % of
    }

    /// Once in `of` times.
    pub(crate) fn once_in(&mut self, of: u64) -> bool {
        self.pick(of) == 0
    }

    pub(crate) fn index(&mut self, of: usize) -> usize {
        usize::try_from(self.pick(of as u64)).unwrap()
    }
}
