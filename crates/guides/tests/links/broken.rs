//! The checker finds what is broken, and only that.

use crate::repository::Repository;

/// What is wrong with the document `docs/index.md` that has this text, beside `docs/other.md` and a picture.
fn check(text: &str, expected: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    std::fs::create_dir_all(root.join("docs/pictures")).unwrap();
    std::fs::create_dir_all(root.join("target")).unwrap();
    std::fs::write(root.join("docs/index.md"), text).unwrap();
    std::fs::write(root.join("docs/other.md"), "# Other things\n\n<a id=\"by-hand\"></a>\n").unwrap();
    std::fs::write(root.join("docs/pictures/a.svg"), "").unwrap();
    std::fs::write(root.join("README.md"), "[docs](docs/index.md)").unwrap();
    std::fs::write(root.join("target/built.md"), "[x](nowhere.md)").unwrap();
    let repository = Repository::read(root);
    let mut errors = repository.broken_links();
    errors.extend(repository.unreachable("docs/index.md", "docs/"));
    assert_eq!(errors, expected, "{text}");
}

const OTHER: &str = "[o](other.md) ";

#[test]
fn good_links_are_good() {
    check(
        &format!(
            "# Here\n{OTHER}[a](other.md#other-things) [b](other.md#by-hand) [c](#here) [d](../README.md) [e](pictures)\n\n![f](pictures/a.svg) <https://example.com/x#y> `[g](nowhere)`"
        ),
        &[],
    );
}

#[test]
fn broken_links_are_named_with_their_line() {
    let table = [
        ("[a](nowhere.md)", "nowhere.md: there is no such file"),
        ("[a](other.md#nothing)", "other.md#nothing: there is no such heading or id"),
        ("[a](#nothing)", "#nothing: there is no such heading or id"),
        ("[a](pictures/a.svg#x)", "pictures/a.svg#x: only documents have anchors"),
        ("![a](pictures/b.svg)", "pictures/b.svg: there is no such file"),
        ("[a](../../secret.md)", "../../secret.md: it leads out of the repository"),
        ("[a](/docs/other.md)", "/docs/other.md: it begins at a root that depends on where it is read"),
        ("[a](https:///x)", "https:///x: there is no host"),
        ("[a](htps://example.com)", "htps://example.com: the scheme is neither http nor https"),
        ("[a]()", ": it is empty"),
        ("[a][b]", "[b]: the reference has no definition"),
    ];
    for (text, expected) in table {
        check(&format!("{OTHER}\n\n{text}"), &[&format!("docs/index.md:3: {expected}")]);
    }
}

#[test]
fn a_document_that_nobody_links_to_is_found() {
    check("alone", &["docs/other.md: no link leads there from docs/index.md"]);
    check("[docs](../docs) has all documents in it", &[]);
    check("[other folder](pictures)", &["docs/other.md: no link leads there from docs/index.md"]);
}
