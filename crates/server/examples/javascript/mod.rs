//! Other people's JavaScript: npm puts it below this folder, and an example serves it from memory. No page loads anything
//! from elsewhere.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Redirect, Response};

/// Also where a test of another crate has the example as a module.
const PACKAGES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../server/examples/javascript/node_modules");

/// The names by which pages ask for scripts, and their text.
#[derive(Default)]
pub(crate) struct Scripts(HashMap<String, String>);

impl Scripts {
    /// Adds the file `path`.
    ///
    /// # Errors
    ///
    /// If it can't be read.
    pub(crate) fn with_file(mut self, name: &str, path: impl AsRef<Path>) -> io::Result<Self> {
        self.0.insert(name.to_owned(), read(path.as_ref())?);
        Ok(self)
    }

    /// Adds the file `path` of an installed package.
    ///
    /// # Errors
    ///
    /// If it is not installed: the error names the command.
    pub(crate) fn with_installed(self, name: &str, path: &str) -> io::Result<Self> {
        self.with_file(name, Path::new(PACKAGES).join(path))
    }

    /// Adds each file below the folder `path` of an installed package, under its path without `.js`, as modules name each
    /// other that were written for a bundler.
    ///
    /// # Errors
    ///
    /// If it is not installed: the error names the command.
    #[allow(dead_code, reason = "not every example has modules")]
    pub(crate) fn with_modules(mut self, path: &str) -> io::Result<Self> {
        let root = Path::new(PACKAGES).join(path);
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).map_err(|error| missing(&folder, &error))? {
                let path = entry?.path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "js") {
                    let name = path.strip_prefix(&root).map_or_else(|_| PathBuf::new(), |name| name.with_extension(""));
                    self.0.insert(name.to_string_lossy().replace('\\', "/"), read(&path)?);
                }
            }
        }
        Ok(self)
    }

    /// The script `name`. That of a folder is its `index`, elsewhere, because its imports are relative to that.
    pub(crate) fn response(&self, name: &str) -> Response {
        if let Some(text) = self.0.get(name) {
            return ([(CONTENT_TYPE, "text/javascript; charset=utf-8")], text.clone()).into_response();
        }
        if self.0.contains_key(&format!("{name}/index")) {
            let folder = name.rsplit('/').next().unwrap_or_default();
            return Redirect::permanent(&format!("{folder}/index")).into_response();
        }
        StatusCode::NOT_FOUND.into_response()
    }
}

fn read(path: &Path) -> io::Result<String> {
    std::fs::read_to_string(path).map_err(|error| missing(path, &error))
}

fn missing(path: &Path, error: &io::Error) -> io::Error {
    let command = "npm ci --ignore-scripts --prefix crates/server/examples/javascript";
    io::Error::new(error.kind(), format!("{} can't be read ({error}): run `{command}` first", path.display()))
}
