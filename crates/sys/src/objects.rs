//! The program and the shared objects that are loaded, and how to unwind through their code: `dl_iterate_phdr(3)`.

use std::ffi::{CStr, OsStr, c_void};
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// A loaded object that has unwind tables. All addresses are those of this process.
#[derive(Debug)]
pub struct Object {
    /// What is added to the addresses that its file states.
    pub base: usize,
    /// All of its segments.
    pub range: Range<usize>,
    /// Where its index of unwind tables (`.eh_frame_hdr`) lies.
    pub index: usize,
    /// A copy of the index.
    pub index_bytes: Vec<u8>,
    /// Where its unwind tables (`.eh_frame`) lie.
    pub tables: usize,
    /// A copy of the tables, and of what comes after them in their segment.
    pub table_bytes: Vec<u8>,
}

/// How often objects were loaded and unloaded: what [`loaded`] gave is true as long as this does not change.
#[must_use]
pub fn generation() -> u64 {
    let mut generation = 0;
    iterate(&mut |info| {
        generation = info.dlpi_adds + info.dlpi_subs;
        false
    });
    generation
}

/// The objects that are loaded now. Copies of their tables, because an object may be unloaded at any time.
#[must_use]
pub fn loaded() -> Vec<Object> {
    let mut objects = Vec::new();
    iterate(&mut |info| {
        objects.extend(describe(info));
        true
    });
    objects
}

/// The `thread_local!`s and `__thread` variables of one object, as they are in the calling thread.
#[derive(Clone, Debug)]
pub struct ThreadLocals {
    /// Where they stand: the thread's copy of the object's `PT_TLS` segment.
    pub range: Range<usize>,
    /// The object's file; empty for the program itself.
    pub path: PathBuf,
}

/// Those of all objects that are loaded now and that the calling thread has used, or was started with.
#[must_use]
pub fn thread_locals() -> Vec<ThreadLocals> {
    let mut found = Vec::new();
    iterate(&mut |info| {
        let start = info.dlpi_tls_data.addr();
        let segment = headers(info).iter().find(|header| header.p_type == libc::PT_TLS);
        if let (Some(segment), true) = (segment, start != 0) {
            let path = if info.dlpi_name.is_null() {
                PathBuf::new()
            } else {
                // SAFETY: the loader's string, which lives as long as its lock is held.
                PathBuf::from(OsStr::from_bytes(unsafe { CStr::from_ptr(info.dlpi_name) }.to_bytes()))
            };
            found.push(ThreadLocals { range: start..start + segment.p_memsz as usize, path });
        }
        true
    });
    found
}

/// Calls `each` with every object, under the loader's lock, until it says `false`.
fn iterate(each: &mut dyn FnMut(&libc::dl_phdr_info) -> bool) {
    extern "C" fn call(info: *mut libc::dl_phdr_info, _size: usize, data: *mut c_void) -> libc::c_int {
        // SAFETY: `data` is the pointer that is passed below, and the loader's record lives during the call.
        let (each, info) = unsafe { (&mut *data.cast::<&mut dyn FnMut(&_) -> bool>(), &*info) };
        libc::c_int::from(!each(info))
    }
    let mut each = each;
    // SAFETY: `call` gets back the pointer to `each`, which outlives the call, and does not unwind but by running out
    // of memory, which aborts.
    unsafe { libc::dl_iterate_phdr(Some(call), (&raw mut each).cast()) };
}

fn headers(info: &libc::dl_phdr_info) -> &[libc::Elf64_Phdr] {
    if info.dlpi_phdr.is_null() {
        return &[];
    }
    // SAFETY: the loader says that so many headers stand there, for as long as its lock is held.
    unsafe { std::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()) }
}

fn describe(info: &libc::dl_phdr_info) -> Option<Object> {
    let headers = headers(info);
    let base = info.dlpi_addr as usize;
    let range = |header: &libc::Elf64_Phdr| {
        let start = base.wrapping_add(header.p_vaddr as usize);
        start..start.wrapping_add(header.p_memsz as usize)
    };
    let segments = || headers.iter().filter(|header| header.p_type == libc::PT_LOAD).map(range);
    let index = range(headers.iter().find(|header| header.p_type == libc::PT_GNU_EH_FRAME)?);
    let index_bytes = copy(index.clone());
    // Linux Standard Base 5.0, 10.6.2: the version, 1; the encoding of the pointer to the tables, which all linkers give
    // relative to itself in four bytes (0x1b); two more encodings; the pointer.
    let [1, 0x1b, _, _, pointer @ ..] = index_bytes.as_slice() else { return None };
    let distance = i32::from_ne_bytes(pointer.first_chunk().copied()?);
    let tables = (index.start + 4).wrapping_add_signed(distance as isize);
    let end = segments().find(|segment| segment.contains(&tables))?.end;
    Some(Object {
        base,
        range: segments().map(|segment| segment.start).min()?..segments().map(|segment| segment.end).max()?,
        index: index.start,
        index_bytes,
        tables,
        table_bytes: copy(tables..end),
    })
}

/// What stands there, as far as it can be read.
fn copy(range: Range<usize>) -> Vec<u8> {
    let mut bytes = vec![0; range.len()];
    let read = crate::memory::read_own(range.start, &mut bytes);
    bytes.truncate(read);
    bytes
}
