/* What slurm_load_jobs and its relatives give, and how they are called. */

typedef int64_t bitstr_t;
typedef struct job_resources job_resources_t;

typedef struct slurm_step_id_msg {
	uint32_t job_id;
	uint32_t step_het_comp;
	uint32_t step_id;
	...;
} slurm_step_id_t;

typedef struct job_info {
	char *account;
	time_t accrue_time;
	char *admin_comment;
	char *alloc_node;
	bitstr_t *array_bitmap;
	uint32_t array_job_id;
	uint32_t array_max_tasks;
	uint32_t array_task_id;
	char *array_task_str;
	uint32_t assoc_id;
	char *batch_features;
	uint16_t batch_flag;
	char *batch_host;
	double billable_tres;
	uint64_t bitflags;
	uint16_t boards_per_node;
	char *burst_buffer;
	char *burst_buffer_state;
	char *cluster;
	char *cluster_features;
	char *command;
	char *comment;
	char *container;
	uint16_t contiguous;
	uint16_t core_spec;
	uint16_t cores_per_socket;
	uint32_t cpu_freq_gov;
	uint32_t cpu_freq_max;
	uint32_t cpu_freq_min;
	uint16_t cpus_per_task;
	char *cpus_per_tres;
	char *cronspec;
	time_t deadline;
	uint32_t delay_boot;
	char *dependency;
	uint32_t derived_ec;
	time_t eligible_time;
	time_t end_time;
	char *exc_nodes;
	uint32_t exit_code;
	char *features;
	char *fed_origin_str;
	uint64_t fed_siblings_active;
	uint64_t fed_siblings_viable;
	uint32_t gres_detail_cnt;
	char **gres_detail_str;
	uint32_t group_id;
	uint32_t het_job_id;
	uint32_t het_job_offset;
	uint32_t job_id;
	job_resources_t *job_resrcs;
	uint32_t job_state;
	time_t last_sched_eval;
	char *licenses;
	uint16_t mail_type;
	char *mail_user;
	uint32_t max_nodes;
	char *mcs_label;
	char *mem_per_tres;
	char *name;
	char *network;
	uint32_t nice;
	char *nodes;
	uint16_t ntasks_per_board;
	uint16_t ntasks_per_core;
	uint16_t ntasks_per_node;
	uint16_t ntasks_per_socket;
	uint16_t ntasks_per_tres;
	uint32_t num_cpus;
	uint32_t num_nodes;
	uint32_t num_tasks;
	char *partition;
	uint16_t pn_min_cpus;
	uint64_t pn_min_memory;
	uint32_t pn_min_tmp_disk;
	time_t pre_sus_time;
	time_t preempt_time;
	time_t preemptable_time;
	char *prefer;
	uint32_t priority;
	uint32_t profile;
	char *qos;
	uint8_t reboot;
	char *req_nodes;
	uint32_t req_switch;
	uint16_t requeue;
	time_t resize_time;
	uint16_t restart_cnt;
	char *resv_name;
	char *sched_nodes;
	char *selinux_context;
	uint16_t shared;
	uint16_t sockets_per_board;
	uint16_t sockets_per_node;
	time_t start_time;
	char *state_desc;
#if SLURM_VERSION_NUMBER >= SLURM_VERSION_NUM(23,2,0)
	uint32_t state_reason;
#else
	uint16_t state_reason;
#endif
	char *std_err;
	char *std_in;
	char *std_out;
	time_t submit_time;
	time_t suspend_time;
#if SLURM_VERSION_NUMBER >= SLURM_VERSION_NUM(25,11,0)
	slurm_step_id_t step_id;
#endif
	char *system_comment;
	uint16_t threads_per_core;
	uint32_t time_limit;
	uint32_t time_min;
	char *tres_alloc_str;
	char *tres_bind;
	char *tres_per_job;
	char *tres_per_node;
	char *tres_per_socket;
	char *tres_per_task;
	char *tres_req_str;
	uint32_t user_id;
	char *user_name;
	uint32_t wait4switch;
	char *wckey;
	char *work_dir;
	...;
} slurm_job_info_t;

typedef struct job_info_msg {
	time_t last_update;
	uint32_t record_count;
	slurm_job_info_t *job_array;
	...;
} job_info_msg_t;

int slurmpy_load_jobs(time_t since, long configuration, job_info_msg_t **resp,
		      uint16_t show_flags);
int slurmpy_load_job_user(job_info_msg_t **resp, uint32_t user_id, uint16_t show_flags);
int slurmpy_load_job(job_info_msg_t **resp, uint32_t job_id, uint16_t show_flags);
void slurmpy_free_jobs(job_info_msg_t *msg);
void slurmpy_drop_jobs(job_info_msg_t **cell);

void slurm_get_job_stderr(char *buf, int buf_size, slurm_job_info_t *job);
void slurm_get_job_stdin(char *buf, int buf_size, slurm_job_info_t *job);
void slurm_get_job_stdout(char *buf, int buf_size, slurm_job_info_t *job);

char *slurm_job_state_string(uint32_t state);
uint32_t slurm_job_state_num(const char *name);
const char *slurmpy_reason_string(uint32_t reason);
const char *slurm_job_share_string(uint16_t shared);
char *slurmpy_array_tasks(slurm_job_info_t *job);
int slurmpy_has_task(slurm_job_info_t *job, uint32_t task);
void slurmpy_xfree(char *text);
