//! The allocator and the panic handler of plugins.
//!
//! Memory is given out from one end. It is free again when the last that was given out is given back, and all of it when nothing is
//! left, which is the case after every call: no list of free blocks, no search, nothing to leak. What outlives a call, such as a static
//! that was made in `init!`, stays where it is for good.

use core::alloc::{GlobalAlloc, Layout};
use core::arch::wasm32::{memory_grow, memory_size};

extern "C" {
    static __heap_base: u8;
}

struct Arena;

#[global_allocator]
static ARENA: Arena = Arena;

// There is one thread.
static mut KEPT: usize = 0; // Below is what outlived the call that made it; 0: nothing has been allocated yet.
static mut NEXT: usize = 0; // From here on it is free.
static mut LIVE: usize = 0; // How many blocks above KEPT have not been given back.

/// What happens before each call: what is left of the one before is kept for good.
pub fn begin() {
    unsafe {
        if LIVE > 0 {
            KEPT = NEXT;
            LIVE = 0;
        }
    }
    #[cfg(feature = "std")]
    tell_panics();
}

unsafe impl GlobalAlloc for Arena {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if KEPT == 0 {
            KEPT = &__heap_base as *const u8 as usize;
            NEXT = KEPT;
        }
        let at = (NEXT + layout.align() - 1) & !(layout.align() - 1);
        if !reserve(at + layout.size()) {
            return core::ptr::null_mut();
        }
        NEXT = at + layout.size();
        LIVE += 1;
        at as *mut u8
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let at = block as usize;
        if at < KEPT {
            return;
        }
        LIVE -= 1;
        if LIVE == 0 {
            NEXT = KEPT;
        } else if at + layout.size() == NEXT {
            NEXT = at;
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let at = block as usize;
        if at >= KEPT && at + layout.size() == NEXT {
            if !reserve(at + size) {
                return core::ptr::null_mut();
            }
            NEXT = at + size;
            return block;
        }
        if size <= layout.size() {
            return block;
        }
        let other = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
        if !other.is_null() {
            core::ptr::copy_nonoverlapping(block, other, layout.size());
            self.dealloc(block, layout);
        }
        other
    }
}

/// Has the memory reach to an address.
unsafe fn reserve(end: usize) -> bool {
    let have = memory_size(0) * 65536;
    end <= have || memory_grow(0, (end - have + 65535) / 65536) != usize::MAX
}

/// Has panics write their message to the server's log. Without this they would be silent.
#[cfg(feature = "std")]
fn tell_panics() {
    static mut TOLD: bool = false;
    unsafe {
        if !TOLD {
            TOLD = true;
            std::panic::set_hook(alloc::boxed::Box::new(|info| crate::log::error(&alloc::format!("{}", info))));
        }
    }
}

#[cfg(not(feature = "std"))]
#[panic_handler]
fn panic(info: &core::panic::PanicInfo) -> ! {
    crate::log::error(&alloc::format!("{}", info));
    core::arch::wasm32::unreachable()
}
