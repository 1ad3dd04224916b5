package wasi

import "slices"

// Function is one importable function. Params has a byte per parameter: 'i' for
// an i32, 'I' for an i64. Every function but proc_exit has one i32 as its
// result.
type Function struct {
	Name   string
	Params string
	Result bool
	call   func(*System, call) Errno
}

// Functions is the whole of wasi_snapshot_preview1.
var Functions = []Function{
	{"args_get", "ii", true, (*System).argsGet},
	{"args_sizes_get", "ii", true, (*System).argsSizesGet},
	{"environ_get", "ii", true, (*System).environGet},
	{"environ_sizes_get", "ii", true, (*System).environSizesGet},
	{"clock_res_get", "ii", true, (*System).clockResGet},
	{"clock_time_get", "iIi", true, (*System).clockTimeGet},
	{"fd_advise", "iIIi", true, (*System).fdAdvise},
	{"fd_allocate", "iII", true, (*System).fdAllocate},
	{"fd_close", "i", true, (*System).fdClose},
	{"fd_datasync", "i", true, (*System).fdDatasync},
	{"fd_fdstat_get", "ii", true, (*System).fdFdstatGet},
	{"fd_fdstat_set_flags", "ii", true, (*System).fdFdstatSetFlags},
	{"fd_fdstat_set_rights", "iII", true, (*System).fdFdstatSetRights},
	{"fd_filestat_get", "ii", true, (*System).fdFilestatGet},
	{"fd_filestat_set_size", "iI", true, (*System).fdFilestatSetSize},
	{"fd_filestat_set_times", "iIIi", true, (*System).fdFilestatSetTimes},
	{"fd_pread", "iiiIi", true, (*System).fdPread},
	{"fd_prestat_get", "ii", true, (*System).fdPrestatGet},
	{"fd_prestat_dir_name", "iii", true, (*System).fdPrestatDirName},
	{"fd_pwrite", "iiiIi", true, (*System).fdPwrite},
	{"fd_read", "iiii", true, (*System).fdRead},
	{"fd_readdir", "iiiIi", true, (*System).fdReaddir},
	{"fd_renumber", "ii", true, (*System).fdRenumber},
	{"fd_seek", "iIii", true, (*System).fdSeek},
	{"fd_sync", "i", true, (*System).fdSync},
	{"fd_tell", "ii", true, (*System).fdTell},
	{"fd_write", "iiii", true, (*System).fdWrite},
	{"path_create_directory", "iii", true, (*System).pathCreateDirectory},
	{"path_filestat_get", "iiiii", true, (*System).pathFilestatGet},
	{"path_filestat_set_times", "iiiiIIi", true, (*System).pathFilestatSetTimes},
	{"path_link", "iiiiiii", true, (*System).pathLink},
	{"path_open", "iiiiiIIii", true, (*System).pathOpen},
	{"path_readlink", "iiiiii", true, (*System).pathReadlink},
	{"path_remove_directory", "iii", true, (*System).pathRemoveDirectory},
	{"path_rename", "iiiiii", true, (*System).pathRename},
	{"path_symlink", "iiiii", true, (*System).pathSymlink},
	{"path_unlink_file", "iii", true, (*System).pathUnlinkFile},
	{"poll_oneoff", "iiii", true, (*System).pollOneoff},
	{"proc_exit", "i", false, (*System).procExit},
	{"proc_raise", "i", true, func(*System, call) Errno { return enosys }},
	{"random_get", "ii", true, (*System).randomGet},
	{"sched_yield", "", true, (*System).schedYield},
	{"sock_accept", "iii", true, (*System).notSocket},
	{"sock_recv", "iiiiii", true, (*System).notSocket},
	{"sock_send", "iiiii", true, (*System).notSocket},
	{"sock_shutdown", "ii", true, (*System).notSocket},
}

// Known reports whether a program may import the function name of module from.
func Known(from, name string) bool {
	return from == Namespace && slices.ContainsFunc(Functions, func(f Function) bool { return f.Name == name })
}
