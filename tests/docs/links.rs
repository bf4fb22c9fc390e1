//! Each link leads to a file that is there, and to a heading in it. Links to other sites aren't followed.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};

use crate::repository::{documents, pages, read, root};

fn parsed(text: &str) -> Parser<'_> {
    Parser::new_ext(text, Options::ENABLE_TABLES)
}

fn links(text: &str) -> Vec<String> {
    let targets = parsed(text).filter_map(|event| match event {
        Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => Some(dest_url.into_string()),
        _ => None,
    });
    targets.collect()
}

/// The ids that headings get on GitHub and in mdBook: lower case, letters, digits, dashes for blanks, a number where it repeats.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut heading: Option<String> = None;
    for event in parsed(text) {
        match event {
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::Text(words) | Event::Code(words) => {
                if let Some(heading) = &mut heading {
                    heading.push_str(&words);
                }
            }
            Event::End(TagEnd::Heading(_)) => {
                let words = heading.take().expect("a heading began").to_lowercase();
                let id: String = words
                    .chars()
                    .filter_map(|letter| match letter {
                        ' ' => Some('-'),
                        letter if letter.is_alphanumeric() || "-_".contains(letter) => Some(letter),
                        _ => None,
                    })
                    .collect();
                let ids = std::iter::once(id.clone()).chain((1..).map(|number| format!("{id}-{number}")));
                let free = ids.into_iter().find(|id| !found.contains(id)).expect("numbers don't end");
                found.insert(free);
            }
            _ => {}
        }
    }
    found
}

/// `from/../to`, without the dots.
fn resolved(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut found, part| {
        if part == Component::ParentDir {
            found.pop();
        } else {
            found.push(part);
        }
        found
    })
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let mut seen = 0;
    for document in documents() {
        let text = read(&document);
        for link in links(&text).into_iter().filter(|link| !link.contains("://") && !link.starts_with("mailto:")) {
            seen += 1;
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let beside = document.parent().expect("a folder");
            let target = if file.is_empty() { document.clone() } else { resolved(&beside.join(file)) };
            assert!(root().join(&target).exists(), "{}: {link} leads nowhere", document.display());
            if !anchor.is_empty() {
                let there = anchors(&read(&target));
                assert!(there.contains(anchor), "{}: {link}: no such heading; there are {there:?}", document.display());
            }
        }
    }
    assert!(seen > 80, "only {seen} links were found");
}

/// What isn't part of the site is linked to where the repository is.
#[test]
fn every_link_into_the_repository_leads_to_a_file() {
    const REPOSITORY: &str = "https://github.com/kratos-operator/kratos-operator/blob/main/";
    for document in documents() {
        for link in links(&read(&document)) {
            if let Some(path) = link.strip_prefix(REPOSITORY) {
                assert!(root().join(path).exists(), "{}: {link} leads nowhere", document.display());
            }
        }
    }
}

/// The site holds `docs/` alone.
#[test]
fn no_page_leads_out_of_the_site() {
    for page in pages() {
        for link in links(&read(&page)).into_iter().filter(|link| !link.contains("://") && !link.starts_with('#')) {
            let target = resolved(&page.parent().expect("a folder").join(link.split('#').next().expect("a path")));
            assert!(target.starts_with("docs"), "{}: {link} isn't part of the site", page.display());
        }
    }
}

#[test]
fn every_page_is_in_the_summary() {
    let listed: BTreeSet<_> =
        links(&read("docs/SUMMARY.md")).into_iter().map(|link| Path::new("docs").join(link)).collect();
    let there: BTreeSet<_> = pages().into_iter().collect();
    assert_eq!(there, listed);
}

#[test]
fn every_page_begins_with_its_title() {
    for page in pages() {
        let text = read(&page);
        let mut events = parsed(&text).filter(|event| {
            !matches!(event, Event::Html(_) | Event::Start(Tag::HtmlBlock) | Event::End(TagEnd::HtmlBlock))
        });
        let first = events.next();
        assert!(
            matches!(first, Some(Event::Start(Tag::Heading { level: HeadingLevel::H1, .. }))),
            "{} begins with {first:?}",
            page.display()
        );
    }
}
