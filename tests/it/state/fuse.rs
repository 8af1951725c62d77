//! A file system in memory whose disk can fail: it stops to answer, or refuses every write.

use std::{
    collections::{BTreeMap, HashMap},
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc, Condvar, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use fuser::{
    BackgroundSession, BsdFileFlags, Config, Errno, FileAttr, FileHandle, FileType, Filesystem,
    FopenFlags, Generation, INodeNo, LockOwner, MountOption, OpenFlags, RenameFlags, ReplyAttr,
    ReplyCreate, ReplyData, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyWrite, Request, Session,
    TimeOrNow, WriteFlags,
};

/// What the disk does with a write or an fsync.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    Good,
    /// It does not answer.
    Hangs,
    /// It refuses with this error.
    Refuses(Errno),
}

/// A mounted file system with one folder. Dropping this struct makes the disk good, and unmounts the file system.
pub struct Mounted {
    disk: Arc<Disk>,
    path: PathBuf,
    _session: BackgroundSession,
}

struct Disk {
    condition: Mutex<Condition>,
    changed: Condvar,
    /// The requests that hang.
    hanging: AtomicUsize,
}

impl Mounted {
    /// Mounts an empty file system at `path`.
    pub fn at(path: &Path) -> Self {
        let disk = Arc::new(Disk {
            condition: Mutex::new(Condition::Good),
            changed: Condvar::new(),
            hanging: AtomicUsize::new(0),
        });
        let memory = Memory {
            disk: Arc::clone(&disk),
            files: Mutex::default(),
        };
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName("vobiz-exporter-test".to_owned())];
        let session = Session::new(memory, path, &config).expect("root may mount a file system");
        Self {
            disk,
            path: path.to_owned(),
            _session: session.spawn().unwrap(),
        }
    }

    pub fn becomes(&self, condition: Condition) {
        *self.disk.condition() = condition;
        self.disk.changed.notify_all();
    }

    /// Whether a request waits for the disk.
    pub fn hangs(&self) -> bool {
        self.disk.hanging.load(Ordering::SeqCst) > 0
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // A process that waits for the disk could not end.
        self.becomes(Condition::Good);
        // The files of a process that ends just now are still open.
        let _ = Command::new("umount")
            .arg("--lazy")
            .arg(&self.path)
            .status();
    }
}

impl Disk {
    fn condition(&self) -> MutexGuard<'_, Condition> {
        self.condition.lock().unwrap()
    }

    /// Waits while the disk hangs, and returns the error of a disk that refuses.
    fn access(&self) -> Result<(), Errno> {
        let condition = self.condition();
        self.hanging.fetch_add(1, Ordering::SeqCst);
        let hangs = |condition: &mut Condition| *condition == Condition::Hangs;
        let condition = self.changed.wait_while(condition, hangs).unwrap();
        self.hanging.fetch_sub(1, Ordering::SeqCst);
        match *condition {
            Condition::Refuses(error) => Err(error),
            _ => Ok(()),
        }
    }
}

/// The files. One thread serves all requests, so a request that hangs also delays all later ones.
struct Memory {
    disk: Arc<Disk>,
    files: Mutex<Files>,
}

#[derive(Default)]
struct Files {
    names: BTreeMap<OsString, u64>,
    /// The files by their inode. Deleted files stay, because they may be open.
    inodes: HashMap<u64, File>,
}

struct File {
    bytes: Vec<u8>,
    mode: u16,
    links: u32,
}

/// The kernel must ask for every attribute, because the test changes files by their name.
const NO_CACHE: Duration = Duration::ZERO;

impl Memory {
    fn files(&self) -> MutexGuard<'_, Files> {
        self.files.lock().unwrap()
    }
}

impl Files {
    fn find(&self, name: &OsStr) -> Result<FileAttr, Errno> {
        let inode = self.names.get(name).ok_or(Errno::ENOENT)?;
        self.attributes(*inode)
    }

    fn attributes(&self, inode: u64) -> Result<FileAttr, Errno> {
        let (kind, size, mode, links) = if inode == INodeNo::ROOT.0 {
            (FileType::Directory, 0, 0o700, 2)
        } else {
            let file = self.inodes.get(&inode).ok_or(Errno::ENOENT)?;
            (
                FileType::RegularFile,
                file.bytes.len(),
                file.mode,
                file.links,
            )
        };
        Ok(FileAttr {
            ino: INodeNo(inode),
            size: size as u64,
            blocks: size.div_ceil(512) as u64,
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind,
            perm: mode,
            nlink: links,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        })
    }

    fn file(&mut self, inode: INodeNo) -> Result<&mut File, Errno> {
        self.inodes.get_mut(&inode.0).ok_or(Errno::ENOENT)
    }

    fn create(&mut self, name: &OsStr, mode: u32) -> Result<FileAttr, Errno> {
        let inode = INodeNo::ROOT.0 + 1 + self.inodes.len() as u64;
        let file = File {
            bytes: Vec::new(),
            mode: u16::try_from(mode & 0o777).unwrap(),
            links: 1,
        };
        self.inodes.insert(inode, file);
        self.names.insert(name.to_owned(), inode);
        self.attributes(inode)
    }

    /// Removes a name. The content stays for processes that have the file open.
    fn unlink(&mut self, name: &OsStr) -> Result<(), Errno> {
        let inode = self.names.remove(name).ok_or(Errno::ENOENT)?;
        self.file(INodeNo(inode))?.links -= 1;
        Ok(())
    }

    fn rename(&mut self, name: &OsStr, new_name: &OsStr) -> Result<(), Errno> {
        let inode = *self.names.get(name).ok_or(Errno::ENOENT)?;
        let _ = self.unlink(new_name);
        self.names.remove(name);
        self.names.insert(new_name.to_owned(), inode);
        Ok(())
    }

    fn write(&mut self, inode: INodeNo, offset: u64, data: &[u8]) -> Result<(), Errno> {
        let bytes = &mut self.file(inode)?.bytes;
        let begin = usize::try_from(offset).unwrap();
        let end = begin + data.len();
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        bytes[begin..end].copy_from_slice(data);
        Ok(())
    }
}

/// Sends the result of an operation without a value.
fn reply_empty(result: Result<(), Errno>, reply: ReplyEmpty) {
    match result {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(error),
    }
}

impl Filesystem for Memory {
    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match self.files().find(name) {
            Ok(found) => reply.entry(&NO_CACHE, &found, Generation(0)),
            Err(error) => reply.error(error),
        }
    }

    fn getattr(&self, _: &Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.files().attributes(inode.0) {
            Ok(found) => reply.attr(&NO_CACHE, &found),
            Err(error) => reply.error(error),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        inode: INodeNo,
        _mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let change = || {
            let mut files = self.files();
            if let Some(size) = size {
                drop(files);
                self.disk.access()?;
                files = self.files();
                let bytes = &mut files.file(inode)?.bytes;
                bytes.resize(usize::try_from(size).unwrap(), 0);
            }
            files.attributes(inode.0)
        };
        match change() {
            Ok(changed) => reply.attr(&NO_CACHE, &changed),
            Err(error) => reply.error(error),
        }
    }

    fn create(
        &self,
        _: &Request,
        _: INodeNo,
        name: &OsStr,
        mode: u32,
        _: u32,
        _: i32,
        reply: ReplyCreate,
    ) {
        match self
            .disk
            .access()
            .and_then(|()| self.files().create(name, mode))
        {
            Ok(new) => {
                reply.created(
                    &NO_CACHE,
                    &new,
                    Generation(0),
                    FileHandle(0),
                    FopenFlags::empty(),
                );
            }
            Err(error) => reply.error(error),
        }
    }

    fn open(&self, _: &Request, _: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let to_write = flags.0 & libc::O_ACCMODE != libc::O_RDONLY;
        match self.disk.access() {
            Err(error) if to_write => reply.error(error),
            _ => reply.opened(FileHandle(0), FopenFlags::empty()),
        }
    }

    fn unlink(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let result = self.disk.access().and_then(|()| self.files().unlink(name));
        reply_empty(result, reply);
    }

    fn rename(
        &self,
        _: &Request,
        _: INodeNo,
        name: &OsStr,
        _: INodeNo,
        new_name: &OsStr,
        _: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let result = self.disk.access();
        let result = result.and_then(|()| self.files().rename(name, new_name));
        reply_empty(result, reply);
    }

    fn read(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.files().file(inode) {
            Ok(file) => {
                let begin = file.bytes.len().min(usize::try_from(offset).unwrap());
                let end = file.bytes.len().min(begin + size as usize);
                reply.data(&file.bytes[begin..end]);
            }
            Err(error) => reply.error(error),
        }
    }

    fn write(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        flags: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let access = match self.disk.access() {
            // A refused page of the page cache would be lost. It belongs to the index of the log.
            Err(_) if flags.contains(WriteFlags::FUSE_WRITE_CACHE) => Ok(()),
            access => access,
        };
        match access.and_then(|()| self.files().write(inode, offset, data)) {
            Ok(()) => reply.written(u32::try_from(data.len()).unwrap()),
            Err(error) => reply.error(error),
        }
    }

    fn fsync(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        reply_empty(self.disk.access(), reply);
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }
}
