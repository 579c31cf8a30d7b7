//! Directories, and what is done by path.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, DirEntryExt, MetadataExt, PermissionsExt};

use ropewalk::fs::{self, DirBuilder};

use crate::support::on_every_plan;

#[test]
fn every_entry_is_listed_once() {
    on_every_plan(|plan| {
        plan.spawn(|| {
            let folder = tempfile::tempdir().unwrap();
            // More than are fetched at once.
            let names: BTreeSet<_> = (0..1000).map(|number| format!("file-{number}")).collect();
            for name in &names {
                fs::write(folder.path().join(name), name).unwrap();
            }
            fs::create_dir(folder.path().join("folder")).unwrap();
            let mut listed = BTreeSet::new();
            for entry in fs::read_dir(folder.path()).unwrap() {
                let entry = entry.unwrap();
                let name = entry.file_name().into_string().unwrap();
                let metadata = entry.metadata().unwrap();
                assert_eq!(entry.path(), folder.path().join(&name));
                assert_eq!(entry.ino(), metadata.ino());
                assert_eq!(entry.file_type().unwrap().is_dir(), name == "folder");
                if metadata.is_file() {
                    assert_eq!(metadata.len(), name.len() as u64);
                    assert!(listed.insert(name), "once");
                }
            }
            assert_eq!(listed, names);
        })
        .join()
        .unwrap();
    });
}

#[test]
fn paths_are_made_moved_linked_and_removed() {
    on_every_plan(|plan| {
        plan.spawn(|| {
            let folder = tempfile::tempdir().unwrap();
            let at = |name: &str| folder.path().join(name);
            fs::create_dir_all(at("a/b/c")).unwrap();
            fs::create_dir_all(at("a/b/c")).unwrap();
            assert_eq!(fs::create_dir(at("a")).unwrap_err().kind(), ErrorKind::AlreadyExists);
            DirBuilder::new().mode(0o700).create(at("private")).unwrap();
            assert_eq!(fs::metadata(at("private")).unwrap().permissions().mode() & 0o777, 0o700);
            fs::write(at("a/file"), "rope").unwrap();
            fs::rename(at("a/file"), at("a/b/file")).unwrap();
            fs::hard_link(at("a/b/file"), at("hard")).unwrap();
            fs::symlink("a/b/file", at("soft")).unwrap();
            assert_eq!(fs::metadata(at("soft")).unwrap().nlink(), 2);
            assert!(fs::symlink_metadata(at("soft")).unwrap().is_symlink());
            assert_eq!(fs::read_link(at("soft")).unwrap().to_str(), Some("a/b/file"));
            assert_eq!(fs::canonicalize(at("soft")).unwrap(), fs::canonicalize(at("a/b/file")).unwrap());
            assert_eq!(fs::read_to_string(at("hard")).unwrap(), "rope");
            assert_eq!(fs::remove_dir(at("a")).unwrap_err().kind(), ErrorKind::DirectoryNotEmpty);
            fs::remove_dir(at("a/b/c")).unwrap();
            fs::remove_dir_all(at("a")).unwrap();
            assert!(!fs::exists(at("soft")).unwrap(), "it leads nowhere now");
            fs::remove_file(at("soft")).unwrap();
            fs::chown(at("hard"), None, None).unwrap();
            let mut names: Vec<_> =
                fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            assert_eq!(names, ["hard", "private"]);
        })
        .join()
        .unwrap();
    });
}
