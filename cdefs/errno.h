/* The builder puts every name of the installed slurm_errno.h in place of the mark below. */

typedef enum {
	SLURM_ERRNO_NAMES
	...
} slurm_err_t;
