"""The documented columns of each SHOW, in their order."""

COMMON = "created_on name database_name schema_name"
TERSE = "created_on name kind database_name schema_name"
DEFAULT = f"{COMMON} owner comment owner_role_type"
COLUMNS = {
    "DATABASES": "created_on name is_default is_current origin owner comment options retention_time kind budget owner_role_type",
    "SCHEMAS": "created_on name is_default is_current database_name owner comment options retention_time owner_role_type",
    "TABLES": f"{COMMON} kind comment cluster_by rows bytes owner retention_time automatic_clustering change_tracking "
    "search_optimization search_optimization_progress search_optimization_bytes is_external enable_schema_evolution "
    "owner_role_type is_event budget is_hybrid is_iceberg is_dynamic is_immutable",
    "VIEWS": "created_on name reserved database_name schema_name owner comment text is_secure is_materialized owner_role_type change_tracking",
    "OBJECTS": f"{COMMON} kind comment cluster_by rows bytes owner retention_time owner_role_type budget is_hybrid is_dynamic is_iceberg is_interactive",
    "TASKS": "created_on name id database_name schema_name owner comment warehouse schedule predecessors state definition condition "
    "allow_overlapping_execution error_integration last_committed_on last_suspended_on owner_role_type config budget",
    "STREAMS": "created_on name database_name schema_name owner comment table_name source_type base_tables type stale mode stale_after invalid_reason owner_role_type",
    "PIPES": "created_on name database_name schema_name definition owner notification_channel comment integration pattern error_integration owner_role_type invalid_reason kind",
    "STAGES": "created_on name database_name schema_name url has_credentials has_encryption_key owner comment region type cloud "
    "notification_channel storage_integration endpoint owner_role_type directory_enabled",
    "SEQUENCES": "name database_name schema_name next_value interval created_on owner comment owner_role_type ordered",
    "DYNAMIC TABLES": f"{COMMON} cluster_by rows bytes owner target_lag refresh_mode refresh_mode_reason warehouse comment text "
    "automatic_clustering scheduling_state last_suspended_on is_clone is_replica is_iceberg data_timestamp owner_role_type",
    "MATERIALIZED VIEWS": "created_on name reserved database_name schema_name cluster_by rows bytes source_database_name source_schema_name "
    "source_table_name refreshed_on compacted_on owner invalid invalid_reason behind_by comment text is_secure automatic_clustering owner_role_type",
    "EXTERNAL TABLES": "created_on name database_name schema_name invalid invalid_reason owner comment stage location file_format_name "
    "file_format_type cloud region notification_channel last_refreshed_on table_format owner_role_type",
    "ICEBERG TABLES": "created_on name database_name schema_name owner external_volume_name catalog_name iceberg_table_type comment owner_role_type",
    "ALERTS": "created_on name database_name schema_name owner comment warehouse schedule state condition action owner_role_type",
    "SHARES": "created_on kind owner_account name database_name to owner comment listing_global_name secure_objects_only",
    "PARAMETERS": "key value default level description type",
    "WAREHOUSES": "name state type size min_cluster_count max_cluster_count started_clusters running queued is_default is_current auto_suspend auto_resume owner comment",
    "ROLES": "created_on name is_default is_current is_inherited assigned_to_users granted_to_roles granted_roles owner comment",
    "DATABASE ROLES": "created_on name is_default is_current is_inherited granted_to_roles granted_to_database_roles granted_database_roles owner comment owner_role_type",
    "REPLICATION GROUPS": "region_group snowflake_region created_on account_name name type comment is_primary primary object_types allowed_databases allowed_accounts owner",
    "FAILOVER GROUPS": "region_group snowflake_region created_on account_name name type comment is_primary primary object_types allowed_databases allowed_accounts owner",
    "COLUMNS": "table_name schema_name column_name data_type null? default kind expression comment database_name autoincrement",
    "FUNCTIONS": "created_on name schema_name is_builtin is_aggregate is_ansi min_num_arguments max_num_arguments arguments description catalog_name "
    "is_table_function valid_for_clustering is_secure language",
    "PROCEDURES": "created_on name schema_name is_builtin is_aggregate is_ansi min_num_arguments max_num_arguments arguments description catalog_name",
}
