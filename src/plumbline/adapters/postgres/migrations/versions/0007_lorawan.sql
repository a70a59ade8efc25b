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
