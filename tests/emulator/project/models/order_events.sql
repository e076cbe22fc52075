{{ config(materialized='incremental', unique_key='order_id', on_schema_change='append_new_columns') }}

select order_id, amount, current_timestamp() as loaded_at
from {{ ref('stg_orders') }}
{% if is_incremental() %}
where order_id >= (select max(order_id) from {{ this }})
{% endif %}
