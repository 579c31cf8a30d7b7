//! From registers and the copy of a stack to return addresses.
//!
//! Coroutines have no frame pointers to follow, so it goes by the unwind tables that every program carries for its panics
//! (DWARF call frame information), read by `framehop`. Nothing here touches the stack itself: a copy that makes no sense,
//! because the task had moved, gives a trace that makes no sense, and no more.

use std::sync::{Mutex, MutexGuard, PoisonError};

use framehop::{
    CacheNative, ExplicitModuleSectionInfo, MayAllocateDuringUnwind, Module, UnwindRegsNative, Unwinder as _,
    UnwinderNative,
};
use ropewalk_sys::context::Context;
use ropewalk_sys::objects::{self, Object};

use super::COPY_MAX;

/// How many calls a trace lists.
const CALLS_MAX: usize = 128;

/// Where a stack goes on, if it goes on beyond the copy: frames are smaller than this.
const NEAR: usize = 256 * 1024;

/// The unwind tables of all that is loaded; read again when something was loaded or unloaded.
struct Tables {
    generation: u64,
    unwinder: UnwinderNative<Vec<u8>, MayAllocateDuringUnwind>,
    cache: CacheNative<MayAllocateDuringUnwind>,
}

impl Tables {
    fn read(generation: u64) -> Self {
        let mut unwinder = UnwinderNative::new();
        for object in objects::loaded() {
            unwinder.add_module(module(object));
        }
        Self { generation, unwinder, cache: CacheNative::new() }
    }
}

fn module(object: Object) -> Module<Vec<u8>> {
    let stated = |start: usize, length: usize| {
        let start = start.wrapping_sub(object.base) as u64;
        Some(start..start.wrapping_add(length as u64))
    };
    let sections = ExplicitModuleSectionInfo {
        eh_frame_hdr_svma: stated(object.index, object.index_bytes.len()),
        eh_frame_svma: stated(object.tables, object.table_bytes.len()),
        eh_frame_hdr: Some(object.index_bytes),
        eh_frame: Some(object.table_bytes),
        ..ExplicitModuleSectionInfo::default()
    };
    let range = object.range.start as u64..object.range.end as u64;
    Module::new(String::new(), range, object.base as u64, sections)
}

/// The process's tables, while nobody else uses them.
pub(super) struct Unwinder(MutexGuard<'static, Option<Tables>>);

impl Unwinder {
    pub(super) fn lock() -> Self {
        static TABLES: Mutex<Option<Tables>> = Mutex::new(None);
        let mut tables = TABLES.lock().unwrap_or_else(PoisonError::into_inner);
        // Before the tables are read: what is loaded meanwhile is found out about the next time.
        let generation = objects::generation();
        if tables.as_ref().is_none_or(|tables| tables.generation != generation) {
            *tables = Some(Tables::read(generation));
        }
        Self(tables)
    }

    /// The addresses of the calls, innermost first, each inside of its call instruction; and whether there are more.
    /// `copy` is the stack from `context.sp` upwards.
    pub(super) fn unwind(&mut self, context: Context, copy: &[u8]) -> Option<(Vec<usize>, bool)> {
        let tables = self.0.as_mut()?;
        let mut beyond = usize::MAX;
        let mut read = |address: u64| {
            let start = (address as usize).wrapping_sub(context.sp);
            match copy.get(start..).and_then(<[u8]>::first_chunk) {
                Some(word) => Ok(u64::from_ne_bytes(*word)),
                None => {
                    beyond = start;
                    Err(())
                }
            }
        };
        let start = context.pc as u64;
        let mut frames = tables.unwinder.iter_frames(start, registers(context), &mut tables.cache, &mut read);
        let mut addresses = Vec::new();
        let is_long = loop {
            match frames.next() {
                Ok(Some(frame)) => addresses.push(frame.address_for_lookup() as usize),
                Ok(None) => break false,
                // The usual end: the root of a coroutine's stack points to the stack of its worker, somewhere else.
                Err(_) => break copy.len() == COPY_MAX && beyond < COPY_MAX + NEAR,
            }
            if addresses.len() == CALLS_MAX {
                break true;
            }
        };
        Some((addresses, is_long))
    }
}

#[cfg(target_arch = "x86_64")]
fn registers(context: Context) -> UnwindRegsNative {
    UnwindRegsNative::new(context.pc as u64, context.sp as u64, context.fp as u64)
}

#[cfg(target_arch = "aarch64")]
fn registers(context: Context) -> UnwindRegsNative {
    // A user's addresses have 48 bits at most; what stands above them may be a signature.
    let addresses = framehop::aarch64::PtrAuthMask::from_max_known_address((1 << 48) - 1);
    let (lr, sp, fp) = (context.lr as u64, context.sp as u64, context.fp as u64);
    UnwindRegsNative::new_with_ptr_auth_mask(addresses, lr, sp, fp)
}
