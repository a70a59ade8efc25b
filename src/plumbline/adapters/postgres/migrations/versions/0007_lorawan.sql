-- What a LoRaWAN device is known by: its network server, its place there, and the sensor that tells
-- which codec reads its bytes. An MQTT device has none of it.

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
    ADD COLUMN device_class      text DEFAULT 'A' CHECK (device_class IN ('A', 'C'));
