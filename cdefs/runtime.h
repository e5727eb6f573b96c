/* Coming up, going down, and what Slurm says about itself. */

typedef int... time_t;

static const long SLURM_VERSION_NUMBER;

long slurm_api_version(void);
char *slurm_strerror(int errnum);

typedef struct {
	char *cluster_name;
	uint32_t slurm_user_id;
	char *slurm_conf;
	...;
} slurm_conf_t;
extern slurm_conf_t slurm_conf;

/* What the calls below give in place of Slurm's answer where Slurm is not initialised. */
#define SLURMPY_NOT_READY ...

int slurmpy_code(int rc, int error);

/* How far a trial came. */
#define SLURMPY_ANSWERED ...

typedef struct {
	int stage;
	int code;
	int timed_out;
	char text[8192];
	int can_catch;
	...;
} slurmpy_trial_t;

int slurmpy_trial_start(slurmpy_trial_t *trial, const char *conf);
int slurmpy_trial_step(slurmpy_trial_t *trial);
void slurmpy_trial_end(slurmpy_trial_t *trial);

void slurmpy_init(const char *conf, const slurmpy_trial_t *trial);
int slurmpy_catches(void);
void slurmpy_fini(void);
void slurmpy_before_fork(void);
void slurmpy_after_fork_in_parent(void);
void slurmpy_after_fork(void);

/* Of the last call of this thread: who answered, and under which configuration. */
const char *slurmpy_cluster(void);
long slurmpy_configuration_number(void);
int slurmpy_messages_size(void);
int slurmpy_take_messages(char *buf, int size);
void free(void *memory);
