//! The file of `--svg`: it is opened before the replay, so a long run does not end without it.

use super::plot;
use super::timeline::Timeline;
use crate::usage::logs::is_same_file;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    #[error(
        "can't draw {path}: {source}. Name a file with --svg whose folder exists and can be written"
    )]
    Unwritable { path: PathBuf, source: io::Error },
    #[error("--svg names {0}, which is a log or the config: the picture would replace it")]
    Input(PathBuf),
    #[error("can't draw {path}: {problem}")]
    Undrawable { path: PathBuf, problem: String },
}

/// A file for a picture. Its old content stays until the picture is there.
pub struct Picture {
    path: PathBuf,
    file: File,
    /// True for a file that did not exist, and has no picture yet.
    is_empty: bool,
}

impl Picture {
    /// Opens the file, which must be none of the inputs.
    ///
    /// # Errors
    /// [`PictureError`] for an input, or a file that can't be written.
    pub fn open<'p>(
        path: &Path,
        inputs: impl IntoIterator<Item = &'p PathBuf>,
    ) -> Result<Self, PictureError> {
        let mut inputs = inputs.into_iter();
        if inputs.any(|input| is_same_file(input, path)) {
            return Err(PictureError::Input(path.to_owned()));
        }
        let new = OpenOptions::new().write(true).create_new(true).open(path);
        let (file, is_empty) = match new {
            Ok(file) => (Ok(file), true),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                (OpenOptions::new().write(true).open(path), false)
            }
            Err(error) => (Err(error), false),
        };
        let path = path.to_owned();
        match file {
            Ok(file) => Ok(Self {
                path,
                file,
                is_empty,
            }),
            Err(source) => Err(PictureError::Unwritable { path, source }),
        }
    }

    /// Draws the decisions over time.
    ///
    /// # Errors
    /// [`PictureError`] for a file that can't be written.
    pub fn draw(mut self, timeline: &Timeline) -> Result<(), PictureError> {
        let drawn = plot::draw(timeline).map_err(|problem| PictureError::Undrawable {
            path: self.path.clone(),
            problem: problem.to_string(),
        })?;
        let written = self.write(&drawn);
        self.is_empty &= written.is_err();
        written.map_err(|source| PictureError::Unwritable {
            path: self.path.clone(),
            source,
        })
    }

    fn write(&mut self, drawn: &str) -> io::Result<()> {
        // A pipe or a device has no old content.
        if self.file.metadata()?.is_file() {
            self.file.set_len(0)?;
        }
        self.file.write_all(drawn.as_bytes())
    }
}

impl Drop for Picture {
    /// A run without a picture leaves no empty file.
    fn drop(&mut self) {
        if self.is_empty {
            let _ = fs::remove_file(&self.path);
        }
    }
}
