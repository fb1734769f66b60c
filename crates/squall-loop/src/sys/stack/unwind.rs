//! Linux: from a copied stack to the calls in it, and to their names.
//!
//! The compiler's tables say for each instruction where its caller is; they are read
//! where the loader has put them, and `framehop` follows them over the copy.

use std::borrow::Cow;
use std::ffi::{c_int, c_void};
use std::ops::Range;
use std::{ptr, slice};

use framehop::{
    CacheNative, ExplicitModuleSectionInfo, MayAllocateDuringUnwind, Module, UnwindRegsNative,
    Unwinder, UnwinderNative,
};

use super::Symbol;

/// Calls that are followed: deep recursion is cut at its outer end.
const CALLS: usize = 256;
/// How the tables' head says where the tables are, in every linker's output:
/// relative to itself (0x10), four bytes with a sign (0x0b).
const RELATIVE: u8 = 0x1b;

/// The registers that unwinding begins with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Registers {
    pc: u64,
    sp: u64,
    fp: u64,
    /// The return address, where a register holds it.
    #[cfg(target_arch = "aarch64")]
    lr: u64,
}

impl Registers {
    pub(super) const ZERO: Self = Self {
        pc: 0,
        sp: 0,
        fp: 0,
        #[cfg(target_arch = "aarch64")]
        lr: 0,
    };

    #[cfg(target_arch = "x86_64")]
    pub(super) fn of(context: &libc::ucontext_t) -> Self {
        let registers = &context.uc_mcontext.gregs;
        Self {
            pc: registers[libc::REG_RIP as usize].cast_unsigned(),
            sp: registers[libc::REG_RSP as usize].cast_unsigned(),
            fp: registers[libc::REG_RBP as usize].cast_unsigned(),
        }
    }

    #[cfg(target_arch = "aarch64")]
    pub(super) fn of(context: &libc::ucontext_t) -> Self {
        let machine = &context.uc_mcontext;
        Self {
            pc: machine.pc,
            sp: machine.sp,
            fp: machine.regs[29],
            lr: machine.regs[30],
        }
    }

    pub(super) fn stack_pointer(&self) -> usize {
        self.sp as usize
    }

    fn native(self) -> UnwindRegsNative {
        #[cfg(target_arch = "x86_64")]
        return UnwindRegsNative::new(self.pc, self.sp, self.fp);
        // User addresses have 48 bits or fewer; above them may be a signature.
        #[cfg(target_arch = "aarch64")]
        return UnwindRegsNative::new_with_ptr_auth_mask(
            framehop::aarch64::PtrAuthMask((1 << 48) - 1),
            self.lr,
            self.sp,
            self.fp,
        );
    }
}

/// Addresses inside of the calls, innermost first.
pub(super) fn unwind(registers: &Registers, stack: &[u8]) -> Vec<usize> {
    let mut unwinder = UnwinderNative::<Cow<'static, [u8]>, MayAllocateDuringUnwind>::new();
    for module in modules() {
        unwinder.add_module(module);
    }
    let mut cache = Box::new(CacheNative::<MayAllocateDuringUnwind>::new_in());
    let mut read = |address: u64| {
        let from = address.checked_sub(registers.sp).ok_or(())?;
        let from = usize::try_from(from).map_err(drop)?;
        let word = stack.get(from..).and_then(|rest| rest.first_chunk());
        word.copied().map(u64::from_ne_bytes).ok_or(())
    };
    let mut frames = unwinder.iter_frames(registers.pc, registers.native(), &mut cache, &mut read);
    let mut addresses = Vec::new();
    while addresses.len() < CALLS
        && let Ok(Some(frame)) = frames.next()
    {
        // A return address may be the first of the next line: look one back.
        addresses.push(frame.address_for_lookup() as usize);
    }
    addresses
}

/// The calls at an address, innermost first: more than one where calls were inlined.
///
/// Slow: the first call reads the program's debug information.
pub(crate) fn symbols(address: usize) -> Vec<Symbol> {
    let mut symbols = Vec::new();
    // It looks one back by itself.
    let after = ptr::without_provenance_mut(address.wrapping_add(1));
    backtrace::resolve(after, |symbol| {
        symbols.push(Symbol {
            function: symbol
                .name()
                .map_or_else(String::new, |name| format!("{name:#}")),
            file: symbol
                .filename()
                .map(|file| file.to_string_lossy().into_owned()),
            line: symbol.lineno(),
        });
    });
    symbols
}

type Table = Module<Cow<'static, [u8]>>;

/// The program and its libraries, as they are loaded now.
fn modules() -> Vec<Table> {
    let mut modules: Vec<Table> = Vec::new();
    // SAFETY: the callback gets back the pointer that is passed here, which is valid
    // until this call returns, and nobody else has it.
    #[allow(unsafe_code)]
    unsafe {
        libc::dl_iterate_phdr(Some(visit), (&raw mut modules).cast());
    }
    modules
}

/// Called by the loader, once for each loaded object, the program first.
///
/// The loader's lock is held, so nothing is unloaded meanwhile. What is kept is
/// copied, except for the program's own tables: they stay for ever.
extern "C" fn visit(info: *mut libc::dl_phdr_info, _: usize, modules: *mut c_void) -> c_int {
    // SAFETY: the loader passes a valid description with `dlpi_phnum` headers, and
    // `modules` is what `modules` passed in.
    #[allow(unsafe_code)]
    let (info, headers, modules) = unsafe {
        let info = &*info;
        let headers = match info.dlpi_phdr.is_null() {
            true => &[][..],
            false => slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)),
        };
        (info, headers, &mut *modules.cast::<Vec<Table>>())
    };
    let program = modules.is_empty();
    let object = Object {
        base: info.dlpi_addr,
        headers,
    };
    modules.extend(object.module(program));
    0
}

struct Object<'a> {
    base: u64,
    headers: &'a [libc::Elf64_Phdr],
}

impl Object<'_> {
    fn module(&self, program: bool) -> Option<Table> {
        let code = self
            .segments()
            .filter(|header| header.p_flags & libc::PF_X != 0);
        let start = code.clone().map(|header| header.p_vaddr).min()?;
        let end = code.map(|header| header.p_vaddr + header.p_memsz).max()?;
        let head = (self.headers.iter()).find(|header| header.p_type == libc::PT_GNU_EH_FRAME)?;
        let head = head.p_vaddr..head.p_vaddr + head.p_memsz;
        let head_bytes = self.bytes(&head, program)?;
        let &[1, RELATIVE, _, _, a, b, c, d, ..] = &*head_bytes else {
            return None;
        };
        let offset = i64::from(i32::from_ne_bytes([a, b, c, d]));
        let start_of_tables = (head.start + 4).checked_add_signed(offset)?;
        // Where they end is not said, but they end themselves.
        let tables = start_of_tables..self.segment(start_of_tables)?.end;
        let sections = ExplicitModuleSectionInfo {
            base_svma: 0,
            text_svma: Some(start..end),
            eh_frame: Some(self.bytes(&tables, program)?),
            eh_frame_svma: Some(tables),
            eh_frame_hdr: Some(head_bytes),
            eh_frame_hdr_svma: Some(head),
            ..Default::default()
        };
        let code = self.base + start..self.base + end;
        Some(Module::new(String::new(), code, self.base, sections))
    }

    fn segments(&self) -> impl Iterator<Item = &libc::Elf64_Phdr> + Clone {
        (self.headers.iter()).filter(|header| header.p_type == libc::PT_LOAD)
    }

    /// The readable, unwritable segment that an address is in.
    fn segment(&self, address: u64) -> Option<Range<u64>> {
        self.segments()
            .filter(|header| header.p_flags & (libc::PF_R | libc::PF_W) == libc::PF_R)
            .map(|header| header.p_vaddr..header.p_vaddr + header.p_filesz)
            .find(|segment| segment.contains(&address))
    }

    fn bytes(&self, range: &Range<u64>, program: bool) -> Option<Cow<'static, [u8]>> {
        let segment = self.segment(range.start)?;
        if range.is_empty() || range.end > segment.end {
            return None;
        }
        let start = usize::try_from(self.base + range.start).ok()?;
        let len = usize::try_from(range.end - range.start).ok()?;
        // SAFETY: the range lies in a segment that the loader has mapped for reading
        // and that nobody writes. The program's own is mapped as long as it runs; of
        // another object only a copy leaves this function, made under the loader's
        // lock.
        #[allow(unsafe_code)]
        let bytes: &'static [u8] =
            unsafe { slice::from_raw_parts(ptr::with_exposed_provenance(start), len) };
        Some(match program {
            true => Cow::Borrowed(bytes),
            false => Cow::Owned(bytes.to_vec()),
        })
    }
}
