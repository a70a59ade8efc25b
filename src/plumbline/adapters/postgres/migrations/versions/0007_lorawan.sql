-- What a LoRaWAN device is known by: its network server, its place there, and the sensor that tells
-- which codec reads its bytes. An MQTT device has none of it.

-- Until now a LoRaWAN device was a name: nothing of it could be received, and nothing here can say
-- which device it was. It is to be added again.
DELETE FROM devices WHERE protocol = 'lorawan';

ALTER TABLE devices
    ADD COLUMN dev_eui           text UNIQUE CHECK (dev_eui ~ '^[0-9a-f]{16}$'),
    ADD COLUMN network_server    text CHECK (network_server IN ('chirpstack', 'things-stack')),
    -- ChirpStack's application id (a UUID), or The Things Stack's.
    ADD COLUMN application       text,
    -- The Things Stack only: the tenant, empty where the deployment has none; its id of the device.
    ADD COLUMN tenant            text,
    ADD COLUMN network_device_id text,
    ADD COLUMN sensor_model      text,
    -- How often it is expected to send.
    ADD COLUMN uplink_interval_s integer CHECK (uplink_interval_s > 0),
    ADD COLUMN device_class      text DEFAULT 'A' CHECK (device_class IN ('A', 'C')),
    ADD CONSTRAINT devices_lorawan CHECK (
        CASE protocol
            WHEN 'lorawan' THEN
                num_nulls(dev_eui, network_server, application, sensor_model) = 0
                AND password_hash IS NULL
            ELSE
                num_nonnulls(dev_eui, network_server, application, tenant, network_device_id,
                             sensor_model, uplink_interval_s) = 0
        END);

-- The radio frame that brought a reading: a network server may bring one frame several times.
ALTER TABLE sensor_data ADD COLUMN frame uuid;

-- Good frames that by their nature hold no angle: start-up, status, settings, answers. Kept as long
-- as readings.
CREATE TABLE device_event (
    delivery_id uuid        PRIMARY KEY,
    device_id   varchar(50) NOT NULL,
    observed_at timestamptz NOT NULL,
    detail      text        NOT NULL,
    status      varchar(20) NOT NULL CHECK (status IN ('normal', 'warning', 'alarm', 'fault')),
    fields      jsonb       NOT NULL,
    rssi        double precision,
    snr         double precision,
    sequence    bigint,
    received_at timestamptz NOT NULL,
    frame       uuid        NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    UNIQUE (device_id, observed_at, frame)
);
CREATE INDEX idx_device_event_created ON device_event USING brin (created_at);

-- Deliveries with an outcome other than a row in sensor_data.
CREATE OR REPLACE VIEW accounted_delivery AS
    SELECT delivery_id FROM reading_duplicate
    UNION ALL SELECT delivery_id FROM reading_conflict
    UNION ALL SELECT delivery_id FROM quarantine
    UNION ALL SELECT delivery_id FROM settled_delivery
    UNION ALL SELECT delivery_id FROM command_event WHERE delivery_id IS NOT NULL
    UNION ALL SELECT delivery_id FROM device_event;
