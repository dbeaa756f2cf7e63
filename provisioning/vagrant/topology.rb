# frozen_string_literal: true

require "yaml"

module CrudMaster
  # A machine of topology.yml: `address` and the ports in `forwarded` (guest => host) are names of
  # variables; `secrets` are the secrets of its role alone.
  Machine = Struct.new(:name, :role, :memory, :cpus, :address, :forwarded, :secrets, :documents)

  # The parts of topology.yml that Vagrant needs. Provisioning reads and checks all of it.
  class Topology
    SECRET = /_(PASSWORD|TOKEN|COOKIE)\z/
    FILE = "topology.yml"

    # `name` is the value of TOPOLOGY; empty for topology.yml.
    def self.read(root, name)
      file = name.to_s.empty? ? FILE : "topology.#{name}.yml"
      raise SettingsError, "TOPOLOGY=#{name}: there is no #{file}." unless File.exist?(File.join(root, file))

      new(content(root, file))
    rescue Psych::SyntaxError => error
      raise SettingsError, "#{file}, line #{error.line}: #{error.problem}."
    rescue KeyError, NoMethodError, TypeError => error
      raise SettingsError, "#{file} is invalid: #{error.message.lines.first.chomp}."
    end

    # A file, merged into the one that it extends, as chassis/topology_yaml.py does it.
    def self.content(root, file)
      own = YAML.safe_load(File.read(File.join(root, file), encoding: "utf-8"))
      extended = own.delete("extends")
      return own unless extended

      base = content(root, extended)
      roles = base.fetch("roles").merge(own.fetch("roles", {})) { |_name, before, after| before.merge(after) }
      base.merge(own, "roles" => roles)
    end
    private_class_method :content

    # The file that machines get, in one piece.
    attr_reader :yaml
    attr_reader :machines, :defaults, :optional

    def initialize(content)
      @yaml = YAML.dump(content)
      @roles = content.fetch("roles")
      @machines = content.fetch("machines").map { |name, row| machine(name, row) }
      @defaults = defaults_of(content).transform_values(&:to_s)
      @optional = @roles.values.flat_map { |role| role.fetch("optional", []) }
    end

    # RabbitMQ starts first, since others wait for it; the gateway last, so its addresses end `vagrant up`. The first
    # machine of a role precedes the others, which join it.
    def in_order_of_start
      machines.group_by(&:role).values.reverse.flatten
    end

    private

    def machine(name, row)
      role = @roles.fetch(row.fetch("role"))
      forwarded = row.fetch("forwarded", {}).transform_values { |host| host.keys.first }
      Machine.new(name, row.fetch("role"), role.fetch("memory"), role.fetch("cpus"),
                  row.fetch("address").keys.first, forwarded, secrets(role), role.fetch("documents", []))
    end

    def secrets(role)
      database = role.fetch("database", {}).keys.map { |name| name.sub(/NAME\z/, "PASSWORD") }
      own = [*role["settings"], *role["optional"]].grep(SECRET)
      [*database, "RABBITMQ_PASSWORD", *role.fetch("secrets", {}).keys, *own]
    end

    def defaults_of(content)
      rows = content.fetch("machines").values
      processes = @roles.values.flat_map { |role| role.fetch("processes", {}).values }
      [*rows.map { |row| row.fetch("address") },
       *rows.flat_map { |row| row.fetch("forwarded", {}).values },
       *@roles.values.flat_map { |role| role.values_at("secrets", "shared_address").compact },
       *processes.map { |process| process.fetch("port") },
       *@roles.values.filter_map { |role| role["database"] }].reduce({}, :merge)
    end
  end
end
