/* Coming up, going down, and what Slurm says about itself. */

typedef int... time_t;

static const long SLURM_VERSION_NUMBER;

long slurm_api_version(void);
char *slurm_strerror(int errnum);

typedef struct {
	char *cluster_name;
	uint16_t msg_timeout;
	...;
} slurm_conf_t;
extern slurm_conf_t slurm_conf;

/* How far a trial came. */
#define SLURMPY_NOTHING_DONE ...
#define SLURMPY_INITIALISED ...
#define SLURMPY_ANSWERED ...

typedef struct {
	int stage;
	int rc;
	int error;
	int timed_out;
	int text_length;
	char text[8192];
	...;
} slurmpy_trial_t;

int slurmpy_trial(const char *conf, slurmpy_trial_t *trial);
void slurmpy_init(const char *conf);
void slurmpy_fini(void);
int slurmpy_messages_size(void);
int slurmpy_take_messages(char *buf, int size);
void free(void *memory);
