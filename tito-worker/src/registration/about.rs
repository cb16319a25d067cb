//! What an application says of its worker, and what the machine says of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::partitions::PartitionConfig;

/// What does not change while a worker runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct About {
    /// What its operator calls it.
    pub(crate) name: Option<String>,
    /// The version of the application.
    pub(crate) version: Option<String>,
    pub(crate) host: Option<String>,
    pub(crate) process_id: Option<u32>,
    /// The fleet that it is a member of.
    pub(crate) fleet: Option<String>,
    /// The share of partitions that it was told, where it is not a member of a fleet.
    pub(crate) share: Option<PartitionConfig>,
    /// The latest version of payloads that it knows, of each queue whose payloads have a type.
    pub(crate) known_versions: BTreeMap<String, u32>,
}

/// The name of this machine, as far as it says one.
pub(crate) fn host_name() -> Option<String> {
    let of_kernel = fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = of_kernel.or_else(|| std::env::var("HOSTNAME").ok()).or_else(|| std::env::var("COMPUTERNAME").ok())?;
    let name = name.trim();
    (!name.is_empty()).then(|| name.to_string())
}

/// The commit that is checked out in the repository around a folder, cut to 12 digits; none where there is no repository.
pub(crate) fn git_commit(folder: &Path) -> Option<String> {
    let dot_git = folder.ancestors().map(|folder| folder.join(".git")).find(|path| path.exists())?;
    let git = if dot_git.is_dir() {
        dot_git
    } else {
        // A work tree beside the repository: a file that says where.
        let text = fs::read_to_string(&dot_git).ok()?;
        dot_git.parent()?.join(text.strip_prefix("gitdir:")?.trim())
    };
    let head = fs::read_to_string(git.join("HEAD")).ok()?;
    let commit = match head.trim().strip_prefix("ref:") {
        None => head.trim().to_string(),
        Some(name) => branch_commit(&git, name.trim())?,
    };
    let is_commit = commit.len() >= 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_commit.then(|| commit[..12].to_string())
}

fn branch_commit(git: &Path, name: &str) -> Option<String> {
    // A work tree's branches are those of its repository.
    let common = fs::read_to_string(git.join("commondir")).map_or_else(|_| git.to_path_buf(), |at| git.join(at.trim()));
    if let Ok(commit) = fs::read_to_string(common.join(name)) {
        return Some(commit.trim().to_string());
    }
    let packed = fs::read_to_string(common.join("packed-refs")).ok()?;
    let lines = packed.lines().filter_map(|line| line.split_once(' '));
    lines.filter(|(_, packed_name)| *packed_name == name).map(|(commit, _)| commit.to_string()).next()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    #[test]
    fn the_commit_is_found_from_any_folder_of_the_repository() {
        let root = tempfile::tempdir().unwrap();
        let git = root.path().join(".git");
        let inner = root.path().join("a/b");
        fs::create_dir_all(&inner).unwrap();
        assert!(!git.exists());
        fs::create_dir_all(git.join("refs/heads")).unwrap();
        fs::write(git.join("HEAD"), "ref: refs/heads/main\n").unwrap();
        assert_eq!(git_commit(&inner), None, "nothing was committed");
        fs::write(git.join("packed-refs"), format!("# pack-refs with: peeled\n{COMMIT} refs/heads/main\n")).unwrap();
        assert_eq!(git_commit(&inner).as_deref(), Some("0123456789ab"));
        let newer = COMMIT.replace('0', "f");
        fs::write(git.join("refs/heads/main"), format!("{newer}\n")).unwrap();
        assert_eq!(git_commit(&inner).as_deref(), Some("f123456789ab"));
        fs::write(git.join("HEAD"), format!("{COMMIT}\n")).unwrap();
        assert_eq!(git_commit(&inner).as_deref(), Some("0123456789ab"), "no branch");
        fs::write(git.join("HEAD"), "nonsense").unwrap();
        assert_eq!(git_commit(&inner), None);
    }

    #[test]
    fn the_commit_is_found_from_a_work_tree_beside_the_repository() {
        let root = tempfile::tempdir().unwrap();
        let (git, tree) = (root.path().join("main/.git"), root.path().join("tree"));
        fs::create_dir_all(git.join("worktrees/tree")).unwrap();
        fs::create_dir_all(git.join("refs/heads")).unwrap();
        fs::create_dir_all(&tree).unwrap();
        fs::write(tree.join(".git"), "gitdir: ../main/.git/worktrees/tree\n").unwrap();
        fs::write(git.join("worktrees/tree/HEAD"), "ref: refs/heads/other\n").unwrap();
        fs::write(git.join("worktrees/tree/commondir"), "../..\n").unwrap();
        fs::write(git.join("refs/heads/other"), COMMIT).unwrap();
        assert_eq!(git_commit(&tree).as_deref(), Some("0123456789ab"));
    }
}
