//! All documents together.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use crate::document::Document;

pub(crate) struct Repository {
    root: PathBuf,
    /// By their paths from the root.
    documents: BTreeMap<PathBuf, Document>,
}

/// A link, taken apart.
enum Target {
    Elsewhere,
    Here { path: PathBuf, anchor: Option<String> },
    Malformed(&'static str),
}

impl Repository {
    /// Reads every Markdown file below `root`, but for what is built or installed.
    pub(crate) fn read(root: &Path) -> Self {
        let mut documents = BTreeMap::new();
        let mut folders = vec![PathBuf::new()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(root.join(&folder)).unwrap() {
                let entry = entry.unwrap();
                let path = folder.join(entry.file_name());
                let name = entry.file_name().to_string_lossy().into_owned();
                let is_folder = entry.file_type().unwrap().is_dir();
                if is_folder && !matches!(&*name, "target" | "node_modules" | ".git") {
                    folders.push(path);
                } else if !is_folder && name.ends_with(".md") {
                    let text = std::fs::read_to_string(root.join(&path)).unwrap();
                    documents.insert(path, Document::parse(&text));
                }
            }
        }
        Self { root: root.to_owned(), documents }
    }

    pub(crate) fn len(&self) -> usize {
        self.documents.len()
    }

    /// A line for each link that leads nowhere.
    pub(crate) fn broken_links(&self) -> Vec<String> {
        let mut errors = Vec::new();
        for (from, document) in &self.documents {
            for (line, link) in &document.links {
                if let Err(reason) = self.check(from, link) {
                    errors.push(format!("{}:{line}: {link}: {reason}", from.display()));
                }
            }
        }
        errors
    }

    fn check(&self, from: &Path, link: &str) -> Result<(), String> {
        let (path, anchor) = match target(from, link) {
            Target::Elsewhere => return Ok(()),
            Target::Malformed(reason) => return Err(reason.to_owned()),
            Target::Here { path, anchor } => (path, anchor),
        };
        if !self.root.join(&path).exists() {
            return Err("there is no such file".to_owned());
        }
        let Some(anchor) = anchor else { return Ok(()) };
        match self.documents.get(&path) {
            Some(document) if document.anchors.contains(&anchor) => Ok(()),
            Some(_) => Err("there is no such heading or id".to_owned()),
            None => Err("only documents have anchors".to_owned()),
        }
    }

    /// A line for each document below `folder` to which no row of links leads from `start`. A link to a folder leads to all
    /// documents in it, since that is what is shown there.
    pub(crate) fn unreachable(&self, start: &str, folder: &str) -> Vec<String> {
        let (mut reached, mut waiting) = (BTreeSet::new(), vec![PathBuf::from(start)]);
        while let Some(from) = waiting.pop() {
            let Some(document) = self.documents.get(&from).filter(|_| reached.insert(from.clone())) else { continue };
            for (_, link) in &document.links {
                if let Target::Here { path, .. } = target(&from, link) {
                    waiting.extend(self.documents.keys().filter(|document| document.parent() == Some(&path)).cloned());
                    waiting.push(path);
                }
            }
        }
        let below = self.documents.keys().filter(|path| path.starts_with(folder));
        below
            .filter(|path| !reached.contains(*path))
            .map(|path| format!("{}: no link leads there from {start}", path.display()))
            .collect()
    }
}

/// Where a link of the document `from` leads. What is elsewhere is looked at by its form alone: a test has no network.
fn target(from: &Path, link: &str) -> Target {
    if let Some((scheme, rest)) = link.split_once(':').filter(|(scheme, _)| !scheme.contains(['/', '#', '['])) {
        let host = rest.trim_start_matches("//").split(['/', '?', '#']).next().unwrap_or_default();
        return match scheme {
            "http" | "https" if !rest.starts_with("//") || host.is_empty() => Target::Malformed("there is no host"),
            "http" | "https" if link.contains(char::is_whitespace) => Target::Malformed("there is a space in it"),
            "http" | "https" | "mailto" => Target::Elsewhere,
            _ => Target::Malformed("the scheme is neither http nor https"),
        };
    }
    if link.starts_with('[') {
        return Target::Malformed("the reference has no definition");
    }
    if link.is_empty() {
        return Target::Malformed("it is empty");
    }
    if link.starts_with('/') {
        return Target::Malformed("it begins at a root that depends on where it is read");
    }
    let (path, anchor) = link.split_once('#').map_or((link, None), |(path, anchor)| (path, Some(anchor.to_owned())));
    let mut whole =
        if path.is_empty() { from.to_owned() } else { from.parent().map_or_else(PathBuf::new, Path::to_owned) };
    for component in Path::new(path).components() {
        match component {
            Component::ParentDir if !whole.pop() => return Target::Malformed("it leads out of the repository"),
            Component::Normal(name) => whole.push(name),
            _ => {}
        }
    }
    Target::Here { path: whole, anchor }
}
