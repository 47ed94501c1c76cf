(;
  What Go's runtime wants of the system (WASI's first version), for a stage, which has none: no files, arguments
  or variables, random numbers that are the same in each call, and a clock that stands still. What is written to
  the standard output and error goes to the daemon's log, a line each.

  build.sh joins it to the module. It has the memory of the module, of which Go's linker leaves the bytes from
  4096 to 12288 free: there are the address and the length of what is said when somebody waits
  (contract/export_wasm.go), and from 4104 on the line that is being written.
;)
(module
  (import "wharfinger:pipeline/logging@0.2.0" "log" (func $log (param i32 i32 i32)))
  (import "env" "memory" (memory 0))
  (global $length (mut i32) (i32.const 0))
  (global $level (mut i32) (i32.const 2))
  (global $moments (mut i32) (i32.const 0))
  (global $random (mut i64) (i64.const 0x77686172666e6765))

  ;; Whether the byte at this place continues a character, and lies between these.
  (func $continues (param $at i32) (param $end i32) (param $least i32) (param $most i32) (result i32)
    (local $byte i32)
    (if (i32.ge_u (local.get $at) (local.get $end)) (then (return (i32.const 0))))
    (local.set $byte (i32.load8_u (local.get $at)))
    (i32.and
      (i32.ge_u (local.get $byte) (local.get $least))
      (i32.le_u (local.get $byte) (local.get $most))))

  ;; The bytes of the character that begins here; 0 if it is none of UTF-8.
  (func $character (param $at i32) (param $end i32) (result i32)
    (local $byte i32) (local $least i32) (local $most i32) (local $more i32)
    (local.set $byte (i32.load8_u (local.get $at)))
    (if (i32.lt_u (local.get $byte) (i32.const 0x80)) (then (return (i32.const 1))))
    (if (i32.or (i32.lt_u (local.get $byte) (i32.const 0xc2)) (i32.gt_u (local.get $byte) (i32.const 0xf4)))
      (then (return (i32.const 0))))
    (local.set $least (i32.const 0x80))
    (local.set $most (i32.const 0xbf))
    (if (i32.eq (local.get $byte) (i32.const 0xe0)) (then (local.set $least (i32.const 0xa0))))
    (if (i32.eq (local.get $byte) (i32.const 0xed)) (then (local.set $most (i32.const 0x9f))))
    (if (i32.eq (local.get $byte) (i32.const 0xf0)) (then (local.set $least (i32.const 0x90))))
    (if (i32.eq (local.get $byte) (i32.const 0xf4)) (then (local.set $most (i32.const 0x8f))))
    (if (i32.eqz (call $continues (i32.add (local.get $at) (i32.const 1)) (local.get $end)
          (local.get $least) (local.get $most)))
      (then (return (i32.const 0))))
    (local.set $more (i32.add
      (i32.ge_u (local.get $byte) (i32.const 0xe0)) (i32.ge_u (local.get $byte) (i32.const 0xf0))))
    (if (i32.ge_u (local.get $more) (i32.const 1))
      (then (if (i32.eqz (call $continues (i32.add (local.get $at) (i32.const 2)) (local.get $end)
            (i32.const 0x80) (i32.const 0xbf)))
        (then (return (i32.const 0))))))
    (if (i32.ge_u (local.get $more) (i32.const 2))
      (then (if (i32.eqz (call $continues (i32.add (local.get $at) (i32.const 3)) (local.get $end)
            (i32.const 0x80) (i32.const 0xbf)))
        (then (return (i32.const 0))))))
    (i32.add (i32.const 2) (local.get $more)))

  ;; Write the line that there is. What is no text in it becomes question marks.
  (func $flush
    (local $at i32) (local $end i32) (local $size i32)
    (if (i32.eqz (global.get $length)) (then (return)))
    (local.set $at (i32.const 4104))
    (local.set $end (i32.add (i32.const 4104) (global.get $length)))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $at) (local.get $end)))
        (local.set $size (call $character (local.get $at) (local.get $end)))
        (if (i32.eqz (local.get $size))
          (then
            (i32.store8 (local.get $at) (i32.const 0x3f))
            (local.set $size (i32.const 1))))
        (local.set $at (i32.add (local.get $at) (local.get $size)))
        (br $next)))
    (call $log (global.get $level) (i32.const 4104) (global.get $length))
    (global.set $length (i32.const 0)))

  (func $put (param $byte i32)
    (if (i32.eq (local.get $byte) (i32.const 10)) (then (call $flush) (return)))
    (i32.store8 (i32.add (i32.const 4104) (global.get $length)) (local.get $byte))
    (global.set $length (i32.add (global.get $length) (i32.const 1)))
    (if (i32.ge_u (global.get $length) (i32.const 8000)) (then (call $flush))))

  ;; The standard output is information, the standard error an error.
  (func (export "fd_write") (param $fd i32) (param $parts i32) (param $count i32) (param $written i32) (result i32)
    (local $level i32) (local $at i32) (local $end i32) (local $sum i32)
    (if (i32.and (i32.ne (local.get $fd) (i32.const 1)) (i32.ne (local.get $fd) (i32.const 2)))
      (then (return (i32.const 8))))
    (local.set $level (select (i32.const 2) (i32.const 4) (i32.eq (local.get $fd) (i32.const 1))))
    (if (i32.ne (local.get $level) (global.get $level))
      (then (call $flush) (global.set $level (local.get $level))))
    (block $done
      (loop $part
        (br_if $done (i32.eqz (local.get $count)))
        (local.set $at (i32.load (local.get $parts)))
        (local.set $end (i32.add (local.get $at) (i32.load (i32.add (local.get $parts) (i32.const 4)))))
        (local.set $sum (i32.add (local.get $sum) (i32.sub (local.get $end) (local.get $at))))
        (block $read
          (loop $byte
            (br_if $read (i32.ge_u (local.get $at) (local.get $end)))
            (call $put (i32.load8_u (local.get $at)))
            (local.set $at (i32.add (local.get $at) (i32.const 1)))
            (br $byte)))
        (local.set $parts (i32.add (local.get $parts) (i32.const 8)))
        (local.set $count (i32.sub (local.get $count) (i32.const 1)))
        (br $part)))
    (i32.store (local.get $written) (local.get $sum))
    (i32.const 0))

  ;; The program ends itself: after a panic, or by os.Exit.
  (func (export "proc_exit") (param i32)
    (call $flush)
    (unreachable))

  ;; Somebody waits. The runtime itself does so for moments, which are let pass at once, though not without end;
  ;; of any other wait it is better to say so than to wait for the deadline.
  (func (export "poll_oneoff") (param $for i32) (param i32) (param $count i32) (param $events i32) (result i32)
    (global.set $moments (i32.add (global.get $moments) (i32.const 1)))
    (if (i32.and (i32.lt_u (global.get $moments) (i32.const 1000)) (i32.ne (local.get $count) (i32.const 0)))
      (then (if (i32.and
          (i32.eqz (i32.load8_u offset=8 (local.get $for)))
          (i64.lt_u (i64.load offset=24 (local.get $for)) (i64.const 10000000)))
        (then
          (i32.store (local.get $events) (i32.const 0))
          (return (i32.const 0))))))
    (call $flush)
    (call $log (i32.const 4) (i32.load (i32.const 4096)) (i32.load (i32.const 4100)))
    (unreachable))

  ;; The date is the beginning of 1970. The other clocks say 1, since Go takes one that says 0 for broken.
  (func (export "clock_time_get") (param $clock i32) (param i64) (param $into i32) (result i32)
    (i64.store (local.get $into) (i64.extend_i32_u (i32.ne (local.get $clock) (i32.const 0))))
    (i32.const 0))

  (func (export "clock_res_get") (param i32) (param $into i32) (result i32)
    (i64.store (local.get $into) (i64.const 1))
    (i32.const 0))

  (func (export "random_get") (param $into i32) (param $count i32) (result i32)
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $count)))
        (global.set $random (i64.xor (global.get $random) (i64.shl (global.get $random) (i64.const 13))))
        (global.set $random (i64.xor (global.get $random) (i64.shr_u (global.get $random) (i64.const 7))))
        (global.set $random (i64.xor (global.get $random) (i64.shl (global.get $random) (i64.const 17))))
        (i64.store8 (local.get $into) (i64.shr_u (global.get $random) (i64.const 24)))
        (local.set $into (i32.add (local.get $into) (i32.const 1)))
        (local.set $count (i32.sub (local.get $count) (i32.const 1)))
        (br $next)))
    (i32.const 0))

  ;; There are no arguments and no variables.
  (func $none (param $count i32) (param $size i32) (result i32)
    (i32.store (local.get $count) (i32.const 0))
    (i32.store (local.get $size) (i32.const 0))
    (i32.const 0))
  (export "args_sizes_get" (func $none))
  (export "environ_sizes_get" (func $none))
  (func $nothing (param i32 i32) (result i32) (i32.const 0))
  (export "args_get" (func $nothing))
  (export "environ_get" (func $nothing))
  (func (export "sched_yield") (result i32) (i32.const 0))

  ;; The three streams are there, and nothing can be read.
  (func (export "fd_fdstat_get") (param $fd i32) (param $into i32) (result i32)
    (if (i32.gt_u (local.get $fd) (i32.const 2)) (then (return (i32.const 8))))
    (i64.store (local.get $into) (i64.const 0))
    (i64.store offset=8 (local.get $into) (i64.const 0))
    (i64.store offset=16 (local.get $into) (i64.const 0))
    (i32.const 0))
  (export "fd_fdstat_set_flags" (func $nothing))
  (func (export "fd_close") (param i32) (result i32) (i32.const 0))
  (func (export "fd_read") (param i32 i32 i32) (param $read i32) (result i32)
    (i32.store (local.get $read) (i32.const 0))
    (i32.const 0))
  (func (export "fd_prestat_get") (param i32 i32) (result i32) (i32.const 8))

  ;; Of all else there is nothing.
  (func (export "fd_advise") (param i32 i64 i64 i32) (result i32) (i32.const 52))
  (func (export "fd_allocate") (param i32 i64 i64) (result i32) (i32.const 52))
  (func (export "fd_datasync") (param i32) (result i32) (i32.const 52))
  (func (export "fd_fdstat_set_rights") (param i32 i64 i64) (result i32) (i32.const 52))
  (func (export "fd_filestat_get") (param i32 i32) (result i32) (i32.const 52))
  (func (export "fd_filestat_set_size") (param i32 i64) (result i32) (i32.const 52))
  (func (export "fd_filestat_set_times") (param i32 i64 i64 i32) (result i32) (i32.const 52))
  (func (export "fd_pread") (param i32 i32 i32 i64 i32) (result i32) (i32.const 52))
  (func (export "fd_prestat_dir_name") (param i32 i32 i32) (result i32) (i32.const 52))
  (func (export "fd_pwrite") (param i32 i32 i32 i64 i32) (result i32) (i32.const 52))
  (func (export "fd_readdir") (param i32 i32 i32 i64 i32) (result i32) (i32.const 52))
  (func (export "fd_renumber") (param i32 i32) (result i32) (i32.const 52))
  (func (export "fd_seek") (param i32 i64 i32 i32) (result i32) (i32.const 52))
  (func (export "fd_sync") (param i32) (result i32) (i32.const 52))
  (func (export "fd_tell") (param i32 i32) (result i32) (i32.const 52))
  (func (export "path_create_directory") (param i32 i32 i32) (result i32) (i32.const 52))
  (func (export "path_filestat_get") (param i32 i32 i32 i32 i32) (result i32) (i32.const 52))
  (func (export "path_filestat_set_times") (param i32 i32 i32 i32 i64 i64 i32) (result i32) (i32.const 52))
  (func (export "path_link") (param i32 i32 i32 i32 i32 i32 i32) (result i32) (i32.const 52))
  (func (export "path_open") (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32) (i32.const 52))
  (func (export "path_readlink") (param i32 i32 i32 i32 i32 i32) (result i32) (i32.const 52))
  (func (export "path_remove_directory") (param i32 i32 i32) (result i32) (i32.const 52))
  (func (export "path_rename") (param i32 i32 i32 i32 i32 i32) (result i32) (i32.const 52))
  (func (export "path_symlink") (param i32 i32 i32 i32 i32) (result i32) (i32.const 52))
  (func (export "path_unlink_file") (param i32 i32 i32) (result i32) (i32.const 52))
  (func (export "sock_accept") (param i32 i32 i32) (result i32) (i32.const 52))
  (func (export "sock_recv") (param i32 i32 i32 i32 i32 i32) (result i32) (i32.const 52))
  (func (export "sock_send") (param i32 i32 i32 i32 i32) (result i32) (i32.const 52))
  (func (export "sock_shutdown") (param i32 i32) (result i32) (i32.const 52)))
