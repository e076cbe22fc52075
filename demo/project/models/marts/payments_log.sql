-- Every payment ever seen; each run adds those that are new.
{{ config(materialized='incremental', unique_key='payment_id') }}

select
    payment_id,
    order_id,
    kind,
    amount,
    paid_on
from {{ ref('stg_payments') }}
{% if is_incremental() %}
where payment_id > (select coalesce(max(payment_id), 0) from {{ this }})
{% endif %}
