with raw_orders as (

    select * from {{ ref('raw_orders') }}

)

select id as order_id, customer, amount, ordered_at from raw_orders
