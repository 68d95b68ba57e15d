//! How a server's profile stands to the one on record: whether it is to be entered.

use super::Profile;

/// How a profile stands to the one of its name on record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// There is none, or a lower version: this one is to be entered, as one event.
    Newer,
    /// It is the same.
    Same,
    /// A higher version is on record, which is used: another server is ahead in a rolling update.
    Older,
}

/// The version is on record with another content: a change must raise it, or servers would differ in silence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the profile {name} has changed, and version {version} of it is on record as it was: \
     raise `version` to {}", .version.saturating_add(1)
)]
pub struct VersionReused {
    /// The profile.
    pub name: String,
    /// The version.
    pub version: i32,
}

impl Profile {
    /// How this profile stands to what is on record under its name: a version and a document.
    ///
    /// # Errors
    /// [`VersionReused`].
    pub fn standing(&self, on_record: Option<(i32, &str)>) -> Result<Standing, VersionReused> {
        match on_record {
            Some((version, _)) if version > self.version => Ok(Standing::Older),
            Some((version, document)) if version == self.version => {
                let reused = || VersionReused { name: self.name.to_string(), version };
                if document == self.document { Ok(Standing::Same) } else { Err(reused()) }
            }
            Some(_) | None => Ok(Standing::Newer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::load;

    #[test]
    fn a_profile_is_entered_if_it_is_new_or_of_a_higher_version() {
        let mut profile = load(None).unwrap().remove(0);
        assert_eq!(profile.standing(None), Ok(Standing::Newer));
        assert_eq!(profile.standing(Some((1, &profile.document))), Ok(Standing::Same));
        assert_eq!(profile.standing(Some((2, "another"))), Ok(Standing::Older));
        profile.version = 3;
        assert_eq!(profile.standing(Some((2, "another"))), Ok(Standing::Newer));
    }

    #[test]
    fn a_change_without_a_higher_version_is_refused() {
        let profile = load(None).unwrap().remove(0);
        let told = profile.standing(Some((1, "another"))).unwrap_err().to_string();
        assert!(told.contains("raise `version` to 2"), "{told}");
    }
}
