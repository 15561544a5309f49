//! Every link of every document in the repository leads somewhere, and every guide can be found from the first.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod document;

mod repository;

mod broken;

use std::path::Path;

use repository::Repository;

#[test]
fn every_link_leads_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let repository = Repository::read(&root);
    assert!(repository.len() > 10, "only {} documents were found", repository.len());
    let mut errors = repository.broken_links();
    errors.extend(repository.unreachable("docs/index.md", "docs/"));
    assert!(errors.is_empty(), "{}", errors.join("\n"));
}
