//! Files that hold a secret: readable to their owner only, and whole or not there.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// A file on its way: nothing is at its path before it is whole.
#[derive(Debug)]
pub struct PrivateFile {
    path: PathBuf,
    draft: PathBuf,
    file: File,
}

impl PrivateFile {
    /// Begins a file, so that it is known before there is a secret whether it can be written.
    ///
    /// # Errors
    /// The operating system's.
    pub fn begin(path: &Path) -> io::Result<Self> {
        let mut draft = path.as_os_str().to_owned();
        draft.push(".new");
        let draft = PathBuf::from(draft);
        // A draft that was left behind may be anybody's, or lead elsewhere, so it is not written into.
        let _ = fs::remove_file(&draft);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        Ok(Self { path: path.to_owned(), draft, file })
    }

    /// Writes one line and puts the file in its place, over what was there.
    ///
    /// # Errors
    /// The operating system's.
    pub fn finish(mut self, line: &str) -> io::Result<()> {
        self.file.write_all(line.as_bytes())?;
        self.file.write_all(b"\n")?;
        self.file.sync_all()?;
        fs::rename(&self.draft, &self.path)?;
        // Until then a crash may undo the renaming.
        let directory = self.path.parent().filter(|directory| !directory.as_os_str().is_empty());
        File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
    }
}

impl Drop for PrivateFile {
    /// What was not finished leaves nothing behind; what was is no longer there under this name.
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.draft);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn a_draft_that_somebody_left_there_gets_nothing_of_the_secret() {
        let directory = tempfile::tempdir().unwrap();
        let (path, elsewhere) = (directory.path().join("secret"), directory.path().join("elsewhere"));
        fs::write(&elsewhere, "theirs").unwrap();
        symlink(&elsewhere, directory.path().join("secret.new")).unwrap();
        PrivateFile::begin(&path).unwrap().finish("ours").unwrap();
        assert_eq!(fs::read_to_string(&elsewhere).unwrap(), "theirs");
        assert_eq!(fs::read_to_string(&path).unwrap(), "ours\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn what_is_not_finished_leaves_all_as_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        fs::write(&path, "before").unwrap();
        drop(PrivateFile::begin(&path).unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), "before");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
