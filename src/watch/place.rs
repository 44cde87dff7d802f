//! Folders whose changes the system does not tell of, since they happen on another machine.

use std::path::Path;

/// What kind of folder it is, where nobody tells of changes in it.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn without_events(dir: &Path) -> Option<&'static str> {
    // The magic numbers of statfs(2).
    const KINDS: [(u64, &str); 8] = [
        (0x6969, "a network folder (NFS)"),
        (0xff53_4d42, "a network folder (SMB)"),
        (0xfe53_4d42, "a network folder (SMB)"),
        (0x517b, "a network folder (SMB)"),
        (0x5346_414f, "a network folder (AFS)"),
        (0x0102_1997, "a folder of another system (9P)"),
        (0x786f_4256, "a shared folder (VirtualBox)"),
        (0xbacb_acbc, "a shared folder (VMware)"),
    ];
    /// virtiofs, sshfs and other programs that are a file system: some tell, most do not.
    const FUSE: u64 = 0x6573_5546;
    let kind = rustix::fs::statfs(dir).ok()?.f_type as u64 & 0xffff_ffff;
    if kind == FUSE {
        return Some("a shared folder (FUSE)");
    }
    let known = KINDS.iter().find(|(number, _)| *number == kind);
    known.map(|(_, name)| *name)
}

/// Elsewhere the system tells, or refuses to watch.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) fn without_events(_: &Path) -> Option<&'static str> {
    None
}
